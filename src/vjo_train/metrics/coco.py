"""COCO's average precision over IoU 0.5, 0.55 .. 0.95, for boxes and masks, by faster-coco-eval."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from faster_coco_eval import COCO, COCOeval_faster
from faster_coco_eval import mask as rle
from torch import Tensor

from vjo_train.metrics.collect import DetectionMetric
from vjo_train.runs.average_precision import mean_over_defined

_log = logging.getLogger(__name__)

COCO_LARGEST = 1e10
"""The greatest area in pixels that COCO looks at; it ignores objects outside the range."""


class COCODetectionAP(DetectionMetric):
    """Mean AP over ten IoU thresholds and 101 recalls, at most 100 detections per image and class (Lin et al. 2014).

    Difficult objects are ignored as COCO ignores objects outside the range of areas: they are no positives, and a
    detection that finds no other object may take one, at the usual IoU, and then counts neither way. This is not
    COCO's crowd, whose overlap is taken over the detection's area alone and which takes any number of detections. Nor
    is it quite VOC's difficult: in COCO a difficult object also takes one detection only (a second one is wrong), and
    a detection turns to it only if no free ordinary object overlaps enough.

    Equal scores keep the order of arrival, as in `VOCDetectionAPs`.

    Args:
        num_classes: C.
        iou_type: `bbox`, or `segm` for masks: `update` then takes `masks` [N, H, W] bool beside the boxes.
    """

    detection_masks: list[Tensor]
    object_masks: list[Tensor]

    def __init__(self, num_classes: int, iou_type: Literal["bbox", "segm"] = "bbox") -> None:
        super().__init__(num_classes)
        if iou_type not in ("bbox", "segm"):
            raise ValueError(f"`iou_type` should be 'bbox' or 'segm'. Found {iou_type!r}.")
        self.iou_type = iou_type
        if iou_type == "segm":
            for name in ("detection_masks", "object_masks"):
                self.add_rows(name, 3, torch.int64)  # height, width, bytes of the run-length code
                self.add_rows(f"{name}_codes", None, torch.uint8)

    def update(self, preds: Sequence[Mapping[str, Tensor]], targets: Sequence[Mapping[str, Tensor]]) -> None:
        """Takes the detections and the ground truth of some images.

        Args:
            preds: per image `boxes` [N, 4] xyxy in continuous pixels (a width is x2 - x1), `scores`, `labels`.
            targets: per image `boxes`, `labels`, and `difficult` (none is, if left out).

        Raises:
            ValueError: an input of another form; the message names the image and what was found.
        """
        if self.iou_type == "segm":
            codes = [_encode("preds", preds), _encode("targets", targets)]
            for index, sizes in enumerate(zip(*(_sizes(items) for items in (preds, targets)), strict=False)):
                if None not in sizes and sizes[0] != sizes[1]:
                    raise ValueError(f"The masks of image {index} should be of one size. Found {sizes}.")
        super().update(preds, targets)
        if self.iou_type == "segm":
            for name, (table, code) in zip(("detection_masks", "object_masks"), codes, strict=True):
                self.append(name, table)
                self.append(f"{name}_codes", code)

    def compute(self) -> dict[str, Tensor]:
        """`map`, `map_50`, `map_75` (scalars) and `ap` [C], float64 (float32 where the device has no float64).

        The AP of a class without positives (no object that is not difficult) is NaN; the means are over the others.
        """
        return figures(self._precision(), self.device)

    def _precision(self) -> npt.NDArray[np.float64]:
        """[10 thresholds, C, 101 recalls]; -1 for classes without positives."""
        image, object_image = self.image_places()
        truth = coco_rows(
            object_image, self.rows("object_boxes"), self.rows("object_labels"), difficult=self.rows("difficult")
        )
        found = coco_rows(image, self.rows("boxes"), self.rows("labels"), score=self.rows("scores"))
        sizes: dict[int, tuple[int, int]] = {}
        if self.iou_type == "segm":
            for rows, name in ((truth, "object_masks"), (found, "detection_masks")):
                sizes |= _attach_masks(rows, self.rows(name), self.rows(f"{name}_codes"))
        for annotation in truth:
            if annotation["difficult"]:
                annotation["area"] = 2 * COCO_LARGEST
        images = [
            {"id": n, "height": sizes.get(n, (0, 0))[0], "width": sizes.get(n, (0, 0))[1]}
            for n in range(len(self.rows("images")))
        ]
        return precision(truth, found, images, self.num_classes, self.iou_type)


def precision(
    truth: Sequence[Mapping[str, Any]],
    found: Sequence[Mapping[str, Any]],
    images: Sequence[Mapping[str, Any]],
    classes: int,
    kind: Literal["bbox", "segm", "keypoints"],
    sigmas: Sequence[float] | None = None,
) -> npt.NDArray[np.float64]:
    """COCO's evaluation of annotations in its form, over all sizes of objects.

    Args:
        truth: objects.
        found: detections with a `score`.
        images: theirs.
        classes: C; the categories are 0..C-1.
        kind: what overlaps.
        sigmas: of `keypoints`.

    Returns:
        [10 thresholds, C, 101 recalls]; -1 for classes without positives.
    """
    if not images:
        return np.full((10, classes, 101), -1.0)
    categories = [{"id": c} for c in range(classes)]
    evaluation = COCOeval_faster(
        *(
            COCO({"images": images, "categories": categories, "annotations": rows}, print_function=_log.debug)
            for rows in (truth, found)
        ),
        iouType=kind,
        print_function=_log.debug,
        kpt_oks_sigmas=None if sigmas is None else list(sigmas),
    )
    # Of key points, faster-coco-eval takes the classes that are there alone.
    evaluation.params.catIds = list(range(classes))
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, COCO_LARGEST]], ["all"]
    evaluation.evaluate()
    evaluation.accumulate()
    values: npt.NDArray[np.float64] = evaluation.eval["precision"][:, :, :, 0, -1]
    return values.transpose(0, 2, 1)


def figures(precision: npt.NDArray[np.float64], device: torch.device) -> dict[str, Tensor]:
    """What `precision` [10, C, 101] amounts to: `map`, `map_50`, `map_75` and `ap` [C], as in `COCODetectionAP`."""
    ap = np.array([_mean(precision[:, c]) for c in range(precision.shape[1])])
    values = {"map": mean_over_defined(ap), "ap": ap}
    for name, threshold in (("map_50", 0), ("map_75", 5)):
        values[name] = mean_over_defined(np.array([_mean(p) for p in precision[threshold]]))
    kind = torch.float32 if device.type == "mps" else torch.float64
    return {name: torch.as_tensor(value, dtype=kind).to(device) for name, value in values.items()}


def _mean(precision: npt.NDArray[np.float64]) -> float:
    return float("nan") if (precision < 0).any() else float(precision.mean())


def coco_rows(
    images: npt.NDArray[np.int64],
    boxes: npt.NDArray[np.float64],
    labels: npt.NDArray[np.int64],
    **marks: npt.NDArray[Any],
) -> list[dict[str, Any]]:
    """COCO's annotations, whose boxes are x, y, width, height; ids count from 1. `marks` has one column by its name."""
    ((mark, values),) = marks.items()
    boxes = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    areas = boxes[:, 2:].prod(axis=1)
    columns = zip(*(column.tolist() for column in (images, boxes, areas, values, labels)), strict=True)
    return [
        {"id": n, "image_id": image, "bbox": box, "area": area, "category_id": label, "iscrowd": 0, mark: value}
        for n, (image, box, area, value, label) in enumerate(columns, 1)
    ]


def _encode(name: str, items: Sequence[Mapping[str, Tensor]]) -> tuple[Tensor, Tensor]:
    """Run-length codes of all masks: a table [N, 3] of height, width and bytes, and the bytes."""
    table: list[tuple[int, int, int]] = []
    codes: list[bytes] = []
    for index, item in enumerate(items):
        masks, labels = item.get("masks"), item.get("labels")
        if not isinstance(masks, Tensor) or masks.dtype != torch.bool or masks.ndim != 3:
            found = f"{masks.dtype} {list(masks.shape)}" if isinstance(masks, Tensor) else type(masks).__name__
            raise ValueError(f"`{name}[{index}].masks` should be a bool tensor [N, H, W]. Found {found}.")
        if isinstance(labels, Tensor) and len(labels) != len(masks):
            raise ValueError(f"`{name}[{index}].masks` should be {len(labels)}, as the labels. Found {len(masks)}.")
        pixels = masks.cpu().numpy().astype(np.uint8).transpose(1, 2, 0)
        for code in rle.encode(np.asfortranarray(pixels)) if len(masks) else []:
            codes.append(code["counts"])
            table.append((*code["size"], len(code["counts"])))
    joined = np.frombuffer(b"".join(codes), dtype=np.uint8).copy()
    return torch.tensor(table, dtype=torch.int64).reshape(-1, 3), torch.from_numpy(joined)


def _sizes(items: Sequence[Mapping[str, Tensor]]) -> list[tuple[int, ...] | None]:
    """The height and width of each image's masks; None where there is no mask."""
    return [tuple(item["masks"].shape[1:]) if len(item["masks"]) else None for item in items]


def _attach_masks(
    annotations: list[dict[str, Any]], table: npt.NDArray[np.int64], codes: npt.NDArray[np.uint8]
) -> dict[int, tuple[int, int]]:
    """Gives each annotation its mask and the mask's area; returns the images' heights and widths."""
    content = codes.tobytes()
    ends = list(accumulate(table[:, 2].tolist()))
    sizes: dict[int, tuple[int, int]] = {}
    for annotation, (height, width, number), end in zip(annotations, table.tolist(), ends, strict=True):
        mask = {"size": [height, width], "counts": content[end - number : end]}
        annotation |= {"segmentation": mask, "area": float(rle.area(mask))}
        sizes[annotation["image_id"]] = (height, width)
    return sizes
