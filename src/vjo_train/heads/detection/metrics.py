"""The detection figures: VOC 2007's AP, the AP by area, and COCO's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from vjo_train.geometry import to_devkit
from vjo_train.heads.base import TaskMetrics
from vjo_train.metrics import COCODetectionAP, VOCDetectionAPs
from vjo_train.metrics.voc import APSetting
from vjo_train.records import Matches
from vjo_train.types import Detections, Target


class DetectionMetrics(TaskMetrics):
    """`map_voc07` (IoU 0.5, 11 points), `map_area` (IoU 0.5, area) and `map_coco` (IoU 0.5 to 0.95).

    Difficult objects are ignored. Images without annotated boxes are left out.
    """

    per_class: ClassVar[dict[str, str]] = {"ap_voc07": "map_voc07", "ap_area": "map_area", "ap_coco": "map_coco"}

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        settings = {"voc07": APSetting(0.5, "11point"), "area": APSetting(0.5, "area")}
        self.voc = VOCDetectionAPs(num_classes, settings)
        self.coco = COCODetectionAP(num_classes)

    def update(self, predictions: Sequence[Detections], targets: Sequence[Target]) -> None:
        pairs = [pair for pair in zip(predictions, targets, strict=True) if "boxes" in pair[1].labelled]
        found = [_prediction(prediction) for prediction, _ in pairs]
        truth = [_truth(target) for _, target in pairs]
        self.coco.update(found, truth)
        self.voc.update([_inclusive(image) for image in found], [_inclusive(image) for image in truth])

    def compute(self) -> dict[str, Tensor]:
        coco = self.coco.compute()
        return {**self.voc.compute(), "map_coco": coco["map"], "ap_coco": coco["ap"]}

    def reset(self) -> None:
        self.voc.reset()
        self.coco.reset()

    def records(self) -> Matches:
        return self.voc.records()


def _prediction(detections: Detections) -> dict[str, Tensor]:
    return {"boxes": detections.boxes, "scores": detections.scores, "labels": detections.labels}


def _truth(target: Target) -> dict[str, Tensor]:
    return {"boxes": target.boxes, "labels": target.labels, "difficult": target.difficult}


def _inclusive(image: dict[str, Tensor]) -> dict[str, Tensor]:
    return image | {"boxes": to_devkit(image["boxes"])}
