"""The figures that runs are judged by: torchmetrics classes over pure functions.

May import: types, runs.records.
"""

from vjo_train.metrics.coco import COCODetectionAP
from vjo_train.metrics.instance import VOCMaskAPs
from vjo_train.metrics.keypoints import KeypointAP
from vjo_train.metrics.segmentation import SegmentationIoU
from vjo_train.metrics.voc import VOCClassificationAP, VOCDetectionAP, VOCDetectionAPs

__all__ = [
    "COCODetectionAP",
    "KeypointAP",
    "SegmentationIoU",
    "VOCClassificationAP",
    "VOCDetectionAP",
    "VOCDetectionAPs",
    "VOCMaskAPs",
]
