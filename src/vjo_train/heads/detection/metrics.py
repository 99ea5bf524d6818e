"""The detection figures: VOC 2007's AP, the AP by area, and COCO's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

from vjo_train.geometry import to_devkit
from vjo_train.heads.base import TaskMetrics
from vjo_train.heads.unknown import known_alone
from vjo_train.runs.records import Matches
from vjo_train.types import Boxes, Detections, Target

if TYPE_CHECKING:
    from vjo_train.metrics.coco import COCODetectionAP
    from vjo_train.metrics.voc import VOCDetectionAPs


class ObjectMetrics(TaskMetrics):
    """What is found in images against their objects, by VOC's figures and by COCO's.

    Detections of a class that is unknown in their image count neither way.

    Args:
        voc: VOC's figures, of any number of settings.
        coco: COCO's.
    """

    needs: ClassVar[frozenset[str]]
    """The kinds of label that an image must have to count."""

    def __init__(self, voc: VOCDetectionAPs, coco: COCODetectionAP) -> None:
        super().__init__()
        self.voc, self.coco = voc, coco

    def update(self, predictions: Sequence[Detections], targets: Sequence[Target]) -> None:
        pairs = [pair for pair in zip(predictions, targets, strict=True) if self.needs <= pair[1].labelled]
        unknown = [target.unknown(self.needs) for _, target in pairs]
        found = [known_alone(self.found(pair[0]), own) for pair, own in zip(pairs, unknown, strict=True)]
        truth = [known_alone(self.truth(pair[1]), own) for pair, own in zip(pairs, unknown, strict=True)]
        self.coco.update(found, truth)
        self.voc.update([self.for_voc(image) for image in found], [self.for_voc(image) for image in truth])

    def found(self, prediction: Detections) -> dict[str, Tensor]:
        """A prediction as the metrics take it."""
        return {"boxes": prediction.boxes, "scores": prediction.scores, "labels": prediction.labels}

    def truth(self, target: Target) -> dict[str, Tensor]:
        """The objects of an image as the metrics take them."""
        known: Boxes = target["boxes"]
        return {"boxes": known.xyxy, "labels": known.labels, "difficult": known.difficult}

    def for_voc(self, image: dict[str, Tensor]) -> dict[str, Tensor]:
        """What VOC's figures see of the above."""
        return image

    def compute(self) -> dict[str, Tensor]:
        coco = self.coco.compute()
        return {**self.voc.compute(), "map_coco": coco["map"], "ap_coco": coco["ap"]}

    def reset(self) -> None:
        self.voc.reset()
        self.coco.reset()

    def records(self) -> Matches:
        return self.voc.records()


class DetectionMetrics(ObjectMetrics):
    """`map_voc07` (IoU 0.5, 11 points), `map_area` (IoU 0.5, area) and `map_coco` (IoU 0.5 to 0.95).

    Difficult objects are ignored. Images without annotated boxes are left out.
    """

    per_class: ClassVar[dict[str, str]] = {"ap_voc07": "map_voc07", "ap_area": "map_area", "ap_coco": "map_coco"}
    needs: ClassVar[frozenset[str]] = frozenset({"boxes"})

    def __init__(self, num_classes: int) -> None:
        from vjo_train.metrics.coco import COCODetectionAP
        from vjo_train.metrics.voc import APSetting, VOCDetectionAPs

        settings = {"voc07": APSetting(0.5, "11point"), "area": APSetting(0.5, "area")}
        super().__init__(VOCDetectionAPs(num_classes, settings), COCODetectionAP(num_classes))

    def for_voc(self, image: dict[str, Tensor]) -> dict[str, Tensor]:
        return image | {"boxes": to_devkit(image["boxes"])}
