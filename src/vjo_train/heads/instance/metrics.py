"""The instance figures: VOC's AP with masks at two overlaps, and COCO's."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from vjo_train.heads.detection.metrics import ObjectMetrics
from vjo_train.types import Detections, PlacedMasks, Target


class InstanceMetrics(ObjectMetrics):
    """`map_r50` and `map_r70` (AP^r at a mask IoU of 0.5 and 0.7, by area) and `map_coco` (IoU 0.5 to 0.95).

    AP^r is that of Hariharan, Arbelaez, Girshick, Malik 2014 (SDS), by the area under the precision-recall curve and
    not by 11 points. Void pixels (255 in the object masks) are not part of objects, and predictions on them are not
    forgiven. Difficult objects are ignored as in detection. Objects without a pixel in the mask are no instances, so
    they are left out, and a detection of one is wrong. Images without object masks are left out.
    """

    per_class: ClassVar[dict[str, str]] = {"ap_r50": "map_r50", "ap_r70": "map_r70", "ap_coco": "map_coco"}
    needs: ClassVar[frozenset[str]] = frozenset({"boxes", "masks"})

    def __init__(self, num_classes: int) -> None:
        from vjo_train.metrics.coco import COCODetectionAP
        from vjo_train.metrics.instance import VOCMaskAPs
        from vjo_train.metrics.voc import APSetting

        settings = {"r50": APSetting(0.5, "area"), "r70": APSetting(0.7, "area")}
        super().__init__(VOCMaskAPs(num_classes, settings), COCODetectionAP(num_classes, "segm"))

    def found(self, prediction: Detections) -> dict[str, Tensor]:
        assert prediction.masks is not None, "an instance head gives masks"
        masks = prediction.masks
        return {**super().found(prediction), "masks": masks.whole() if isinstance(masks, PlacedMasks) else masks}

    def truth(self, target: Target) -> dict[str, Tensor]:
        masks = target["masks"]
        there = masks.flatten(1).any(1)
        return {name: value[there] for name, value in {**super().truth(target), "masks": masks}.items()}
