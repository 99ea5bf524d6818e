"""`VOCDetectionAP` against the devkit's algorithm as it is usually written: a NumPy loop over detections.

The loop is that of detectron2's and ChainerCV's evaluators, without the text files of the one and the sorting by image
and class in Python of the other, so it is faster than either. COCO's AP is compared with that of torchmetrics by
pycocotools. The detections are made up: 100 an image, two of them near each object, the rest anywhere; 20 classes. All
sides start from arrays per image, and are timed from the first image to the figure, which is the mAP.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torchmetrics import Metric
from torchmetrics.detection import MeanAveragePrecision

from bench.sides import Aim, Section, now
from vjo_train.metrics.coco import COCODetectionAP
from vjo_train.metrics.voc import VOCDetectionAP

CLASSES, DETECTIONS, BATCH = 20, 100, 16

Table = dict[str, np.ndarray[Any, Any]]


def section(images: int) -> Section:
    """Compares seconds per evaluation of `images` images."""
    found, there = synthetic(images)
    return Section(
        unit=f"{images} images",
        result="mAP",
        sides={
            "NumPy loop": lambda: loop(found, there),
            "vjo-train": lambda: fed(VOCDetectionAP(CLASSES), found, there),
        },
        aims=[Aim("vjo-train", "NumPy loop", 1 / 20)],
        settings={"images": images, "detections_per_image": DETECTIONS, "classes": CLASSES},
    )


def coco_section(images: int) -> Section:
    """Compares seconds per evaluation of `images` images by COCO's protocol."""
    found, there = synthetic(images)
    # torchmetrics knows no difficult objects.
    plain = [{name: image[name] for name in ("boxes", "labels")} for image in there]
    return Section(
        unit=f"{images} images",
        result="mAP",
        sides={
            "torchmetrics + pycocotools": lambda: fed(torchmetrics(), found, plain),
            "vjo-train": lambda: fed(COCODetectionAP(CLASSES), found, plain),
        },
        aims=[Aim("vjo-train", "torchmetrics + pycocotools", 1 / 3)],
        settings={"images": images, "detections_per_image": DETECTIONS, "classes": CLASSES},
    )


def torchmetrics() -> Metric:
    """Their metric with COCO's thresholds, which its own miss by rounding; ours gives the APs by class as well."""
    return MeanAveragePrecision(
        iou_thresholds=np.linspace(0.5, 0.95, 10).tolist(),
        rec_thresholds=np.linspace(0, 1, 101).tolist(),
        backend="pycocotools",
    )


def synthetic(images: int) -> tuple[list[Table], list[Table]]:
    """Detections and objects of each image, on whole pixels of a 500 x 375 canvas."""
    rng = np.random.default_rng(0)
    found, there = [], []
    for _ in range(images):
        objects = rng.integers(1, 5)
        boxes, labels = _boxes(rng, objects), rng.integers(0, CLASSES, objects)
        near = np.repeat(boxes, 2, 0) + rng.integers(-12, 13, (2 * objects, 4))
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2])
        rest = DETECTIONS - len(near)
        there.append({"boxes": boxes, "labels": labels, "difficult": rng.random(objects) < 0.15})
        found.append(
            {
                "boxes": np.concatenate([near, _boxes(rng, rest)]).astype(np.float32),
                "scores": rng.random(DETECTIONS).astype(np.float32),
                "labels": np.concatenate([np.repeat(labels, 2), rng.integers(0, CLASSES, rest)]),
            }
        )
    return found, there


def _boxes(rng: np.random.Generator, count: int) -> np.ndarray[Any, Any]:
    corner = np.stack([rng.integers(1, 400, count), rng.integers(1, 300, count)], 1)
    size = np.stack([rng.integers(10, 100, count), rng.integers(10, 75, count)], 1)
    return np.concatenate([corner, corner + size], 1).astype(np.float32)


def fed(metric: Metric, found: list[Table], there: list[Table]) -> tuple[float, float]:
    """A metric, fed in batches."""
    predictions = [{name: torch.from_numpy(v) for name, v in image.items()} for image in found]
    targets = [{name: torch.from_numpy(v) for name, v in image.items()} for image in there]
    start = now()
    for first in range(0, len(found), BATCH):
        metric.update(predictions[first : first + BATCH], targets[first : first + BATCH])
    value = float(metric.compute()["map"])
    return now() - start, value


def loop(found: list[Table], there: list[Table]) -> tuple[float, float]:
    """Class by class, and in each one detection after the other in order of score."""
    start = now()
    image = np.repeat(np.arange(len(found)), [len(f["scores"]) for f in found])
    boxes = np.concatenate([f["boxes"] for f in found]).astype(np.float64)
    scores, labels = (np.concatenate([f[name] for f in found]) for name in ("scores", "labels"))
    aps = [_class_ap(c, *(a[labels == c] for a in (image, boxes, scores)), there) for c in range(CLASSES)]
    value = float(np.nanmean(aps))
    return now() - start, value


def _class_ap(label: int, image: Any, boxes: Any, scores: Any, there: list[Table]) -> float:
    objects = [t["boxes"][t["labels"] == label].astype(np.float64) for t in there]
    difficult = [t["difficult"][t["labels"] == label] for t in there]
    taken = [np.zeros(len(flags), dtype=bool) for flags in difficult]
    order = np.argsort(-scores, kind="stable")
    right, wrong = np.zeros(len(order)), np.zeros(len(order))
    for place, row in enumerate(order):
        box, at = boxes[row], image[row]
        candidates = objects[at]
        best = -np.inf
        if len(candidates):
            width = np.minimum(box[2], candidates[:, 2]) - np.maximum(box[0], candidates[:, 0]) + 1
            height = np.minimum(box[3], candidates[:, 3]) - np.maximum(box[1], candidates[:, 1]) + 1
            common = np.maximum(width, 0) * np.maximum(height, 0)
            area = (box[2] - box[0] + 1) * (box[3] - box[1] + 1)
            areas = (candidates[:, 2] - candidates[:, 0] + 1) * (candidates[:, 3] - candidates[:, 1] + 1)
            overlaps = common / (area + areas - common)
            which = int(overlaps.argmax())
            best = overlaps[which]
        if best < 0.5:
            wrong[place] = 1
        elif not difficult[at][which]:
            if taken[at][which]:
                wrong[place] = 1
            else:
                right[place] = 1
                taken[at][which] = True
    positives = sum(int((~flags).sum()) for flags in difficult)
    if positives == 0:
        return float("nan")
    right, wrong = right.cumsum(), wrong.cumsum()
    precision = right / np.maximum(right + wrong, 1)
    tops = [precision[10 * right >= k * positives].max(initial=0) for k in range(11)]
    return float(sum(tops) / 11)
