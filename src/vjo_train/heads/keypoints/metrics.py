"""The key point figures: COCO's AP by OKS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from vjo_train.heads.base import TaskMetrics
from vjo_train.heads.unknown import known_alone
from vjo_train.runs.records import Matches
from vjo_train.types import Detections, Target

NEEDS = frozenset({"boxes", "keypoints"})


class KeypointMetrics(TaskMetrics):
    """`map_oks` (OKS 0.50 to 0.95), `ap50_oks` and `ap75_oks`, as COCO's key point challenge has them.

    Difficult objects, such as crowds, and objects without known points are ignored. Images without key points are left
    out. Detections of a class that is unknown in their image count neither way.
    """

    per_class: ClassVar[dict[str, str]] = {"ap_oks": "map_oks"}

    def __init__(self, num_classes: int, sigmas: Sequence[float]) -> None:
        from vjo_train.metrics.keypoints import KeypointAP

        super().__init__()
        self.oks = KeypointAP(num_classes, sigmas)

    def update(self, predictions: Sequence[Detections], targets: Sequence[Target]) -> None:
        pairs = [pair for pair in zip(predictions, targets, strict=True) if pair[1].labelled >= NEEDS]
        unknown = [target.unknown(NEEDS) for _, target in pairs]
        found = [known_alone(_found(pair[0]), own) for pair, own in zip(pairs, unknown, strict=True)]
        truth = [known_alone(_truth(pair[1]), own) for pair, own in zip(pairs, unknown, strict=True)]
        self.oks.update(found, truth)

    def compute(self) -> dict[str, Tensor]:
        values = self.oks.compute()
        names = {"map": "map_oks", "map_50": "ap50_oks", "map_75": "ap75_oks", "ap": "ap_oks"}
        return {ours: values[theirs] for theirs, ours in names.items()}

    def records(self) -> Matches:
        return self.oks.records()

    def reset(self) -> None:
        self.oks.reset()


def _found(found: Detections) -> dict[str, Tensor]:
    assert found.keypoints is not None, "a key point head gives points"
    return {"boxes": found.boxes, "scores": found.scores, "labels": found.labels, "keypoints": found.keypoints}


def _truth(target: Target) -> dict[str, Tensor]:
    boxes, known = target["boxes"], target["keypoints"]
    own = {"boxes": boxes.xyxy, "labels": boxes.labels, "difficult": boxes.difficult}
    return own | {"keypoints": known.points, "areas": known.areas}
