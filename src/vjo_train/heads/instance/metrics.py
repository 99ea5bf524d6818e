"""The instance figures: VOC's AP with masks at two overlaps, and COCO's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from vjo_train.heads.base import TaskMetrics
from vjo_train.metrics import COCODetectionAP, VOCMaskAPs
from vjo_train.metrics.voc import APSetting
from vjo_train.records import Matches
from vjo_train.types import Detections, Target


class InstanceMetrics(TaskMetrics):
    """`map_r50` and `map_r70` (AP^r at a mask IoU of 0.5 and 0.7, by area) and `map_coco` (IoU 0.5 to 0.95).

    AP^r is that of Hariharan, Arbelaez, Girshick, Malik 2014 (SDS), by the area under the precision-recall curve and
    not by 11 points. Void pixels (255 in the object masks) are not part of objects, and predictions on them are not
    forgiven. Difficult objects are ignored as in detection. Objects without a pixel in the mask are no instances, so
    they are left out, and a detection of one is wrong. Images without object masks are left out.
    """

    per_class: ClassVar[dict[str, str]] = {"ap_r50": "map_r50", "ap_r70": "map_r70", "ap_coco": "map_coco"}

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.voc = VOCMaskAPs(num_classes, {"r50": APSetting(0.5, "area"), "r70": APSetting(0.7, "area")})
        self.coco = COCODetectionAP(num_classes, "segm")

    def update(self, predictions: Sequence[Detections], targets: Sequence[Target]) -> None:
        pairs = [pair for pair in zip(predictions, targets, strict=True) if {"boxes", "masks"} <= pair[1].labelled]
        found = [_prediction(prediction) for prediction, _ in pairs]
        truth = [_truth(target) for _, target in pairs]
        self.voc.update(found, truth)
        self.coco.update(found, truth)

    def compute(self) -> dict[str, Tensor]:
        coco = self.coco.compute()
        return {**self.voc.compute(), "map_coco": coco["map"], "ap_coco": coco["ap"]}

    def reset(self) -> None:
        self.voc.reset()
        self.coco.reset()

    def records(self) -> Matches:
        return self.voc.records()


def _prediction(found: Detections) -> dict[str, Tensor]:
    assert found.masks is not None, "an instance head gives masks"
    return {"boxes": found.boxes, "scores": found.scores, "labels": found.labels, "masks": found.masks}


def _truth(target: Target) -> dict[str, Tensor]:
    assert target.masks is not None, "an image that is labelled `masks` carries them"
    there = target.masks.flatten(1).any(1)
    fields = {"boxes": target.boxes, "labels": target.labels, "difficult": target.difficult, "masks": target.masks}
    return {name: value[there] for name, value in fields.items()}
