"""The figures of keypoints: COCO's average precision by object keypoint similarity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from vjo_train.heads.base import TaskMetrics
from vjo_train.metrics.oks import OKSAP
from vjo_train.types import Boxes, Detections, Target


class KeypointMetrics(TaskMetrics):
    """`map_oks` (similarity 0.5 to 0.95), `map_oks50` and `map_oks75`; see `OKSAP`.

    Images without annotated points are left out.

    Args:
        num_classes: C.
        points: K.
        sigmas: [K]; None: those of `OKSAP`.
    """

    per_class: ClassVar[dict[str, str]] = {"ap_oks": "map_oks"}

    def __init__(self, num_classes: int, points: int, sigmas: Sequence[float] | None) -> None:
        super().__init__()
        self.oks = OKSAP(num_classes, points, sigmas)

    def update(self, predictions: list[Detections], targets: list[Target]) -> None:
        found, truth = [], []
        for prediction, target in zip(predictions, targets, strict=True):
            if not {"boxes", "keypoints"} <= target.labelled:
                continue
            known: Boxes = target["boxes"]
            found.append(
                {
                    "boxes": prediction.boxes,
                    "scores": prediction.scores,
                    "labels": prediction.labels,
                    "points": _given(prediction.points),
                }
            )
            truth.append(
                {
                    "boxes": known.xyxy,
                    "labels": known.labels,
                    "points": torch.where(known.difficult[:, None, None], 0.0, target["keypoints"]),
                }
            )
        self.oks.update(found, truth)

    def compute(self) -> dict[str, Tensor]:
        values = self.oks.compute()
        names = {"map": "map_oks", "map50": "map_oks50", "map75": "map_oks75", "ap": "ap_oks"}
        return {name: values[own] for own, name in names.items()}

    def reset(self) -> None:
        self.oks.reset()


def _given(points: Tensor | None) -> Tensor:
    assert points is not None, "a keypoint head gives points"
    return points
