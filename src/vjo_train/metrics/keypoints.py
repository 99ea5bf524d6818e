"""COCO's average precision of key points, by faster-coco-eval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vjo_train.geometry import PIXEL_CENTRE
from vjo_train.metrics.coco import coco_rows, figures, precision
from vjo_train.metrics.collect import DetectionMetric
from vjo_train.metrics.oks import MOST, THRESHOLDS, judged, similarities
from vjo_train.metrics.ranking import ranking
from vjo_train.runs.records import Matches


class KeypointAP(DetectionMetric):
    """Mean AP over OKS 0.50, 0.55 .. 0.95 and 101 recalls, at most 20 detections per image and class (COCO 2017).

    The object key point similarity of a detection and an object is the mean over the object's known points of
    exp(-d^2 / (2 a (2 sigma)^2)), where d is the distance and a the object's area. Objects without known points are
    ignored, and so are difficult ones, as COCO's crowds are: they take any number of detections. The similarity with
    an object without points is that with the place of twice its box, as in COCO's code.

    Args:
        num_classes: C.
        sigmas: [K] of the points.
    """

    points: list[Tensor]
    object_points: list[Tensor]
    areas: list[Tensor]

    def __init__(self, num_classes: int, sigmas: Sequence[float]) -> None:
        super().__init__(num_classes)
        self.sigmas = list(sigmas)
        self.add_rows("points", 3 * len(self.sigmas), torch.float64)
        self.add_rows("object_points", 3 * len(self.sigmas), torch.float64)
        self.add_rows("areas", None, torch.float64)

    def update(self, preds: Sequence[Mapping[str, Tensor]], targets: Sequence[Mapping[str, Tensor]]) -> None:
        """Takes the detections and the ground truth of some images.

        Args:
            preds: per image `boxes`, `scores`, `labels` as in `COCODetectionAP`, and `keypoints` [N, K, 3] in
                continuous pixels, whose third numbers do not count.
            targets: per image `boxes`, `labels`, `difficult`, `areas` [M] in square pixels, and `keypoints`
                [M, K, 3]: x, y, and 0 for unknown points.

        Raises:
            ValueError: an input of another form; the message names the image and what was found.
        """
        rows = {"points": self._points("preds", preds), "object_points": self._points("targets", targets)}
        super().update(preds, targets)
        for name, points in rows.items():
            self.append(name, points)
        self.append("areas", torch.cat([torch.zeros(0), *(item["areas"].cpu() for item in targets)]))

    def compute(self) -> dict[str, Tensor]:
        """`map`, `map_50`, `map_75` (scalars) and `ap` [C], float64 (float32 where the device has no float64).

        The AP of a class without objects that count is NaN; the means are over the others.
        """
        image, object_image = self.image_places()
        boxes, labels, difficult = (self.rows(name) for name in ("object_boxes", "object_labels", "difficult"))
        truth = coco_rows(object_image, boxes, labels, iscrowd=difficult.astype(int))
        for row, points, area in zip(truth, _coco(self.rows("object_points")), self.rows("areas"), strict=True):
            row |= {"keypoints": points.tolist(), "num_keypoints": int((points[2::3] > 0).sum()), "area": float(area)}
        found = coco_rows(image, self.rows("boxes"), self.rows("labels"), score=self.rows("scores"))
        for row, points in zip(found, _coco(self.rows("points")), strict=True):
            row["keypoints"] = points.tolist()
        images = [{"id": n, "height": 0, "width": 0} for n in range(len(self.rows("images")))]
        return figures(precision(truth, found, images, self.num_classes, "keypoints", self.sigmas), self.device)

    def records(self) -> Matches:
        """The verdict on every detection, from which the APs follow; images number as they arrived."""
        with self.sync_context():
            return self._matched()

    def _matched(self) -> Matches:
        image, object_image = self.image_places()
        scores, labels, object_labels = self.rows("scores"), self.rows("labels"), self.rows("object_labels")
        points, truth = (self.rows(name).reshape(len(self.rows(name)), -1, 3) for name in ("points", "object_points"))
        crowds, images = self.rows("difficult").astype(np.bool_), len(self.rows("images"))
        ignored = crowds | ~(truth[..., 2] > 0).any(axis=1)
        order = ranking(labels, scores, image)
        hits, counted = np.zeros((2, len(THRESHOLDS), len(labels)), np.bool_)
        kept = np.zeros(len(labels), np.bool_)
        for cell in np.unique(image * self.num_classes + labels):
            own = order[(image * self.num_classes + labels)[order] == cell][:MOST]
            there = np.flatnonzero(object_image * self.num_classes + object_labels == cell)
            boxes, areas = self.rows("object_boxes")[there], self.rows("areas")[there]
            values = similarities(points[own], truth[there], boxes, areas, self.sigmas)
            hits[:, own], counted[:, own] = judged(values, ignored[there], crowds[there])
            kept[own] = True
        order = order[kept[order]]
        cells = object_image[~ignored] * self.num_classes + object_labels[~ignored]
        rows = [*range(len(THRESHOLDS)), 0, 5]
        return Matches(
            image=image.astype(np.int32)[order],
            label=labels.astype(np.int16)[order],
            score=scores.astype(np.float32)[order],
            hits=hits[rows][:, order],
            counted=counted[rows][:, order],
            objects=np.bincount(cells, minlength=images * self.num_classes).reshape(images, self.num_classes),
            metrics=[*["map_oks"] * len(THRESHOLDS), "ap50_oks", "ap75_oks"],
            interpolations=["101point"] * len(rows),
        )

    def _points(self, name: str, items: Sequence[Mapping[str, Tensor]]) -> Tensor:
        """[N, 3 K] of all images."""
        for index, item in enumerate(items):
            points, labels = item.get("keypoints"), item.get("labels")
            count = len(labels) if isinstance(labels, Tensor) else "N"
            shape = list(points.shape) if isinstance(points, Tensor) else type(points).__name__
            if shape != [count, len(self.sigmas), 3]:
                wanted = f"[{count}, {len(self.sigmas)}, 3]"
                raise ValueError(f"`{name}[{index}].keypoints` should have the shape {wanted}. Found {shape}.")
            assert isinstance(points, Tensor)
            if not points.isfinite().all():
                raise ValueError(
                    f"`{name}[{index}].keypoints` should be finite. Found {points[~points.isfinite()][0]}."
                )
        rows = [item["keypoints"].flatten(1).cpu() for item in items]
        return torch.cat([torch.zeros(0, 3 * len(self.sigmas)), *rows])


def _coco(points: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    """[N, 3 K] as COCO counts pixels."""
    moved: npt.NDArray[Any] = points - np.tile([PIXEL_CENTRE, PIXEL_CENTRE, 0], points.shape[1] // 3)
    return moved
