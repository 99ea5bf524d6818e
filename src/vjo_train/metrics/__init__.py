"""The figures that runs are judged by."""

from vjo_train.metrics.coco import COCODetectionAP
from vjo_train.metrics.voc import VOCClassificationAP, VOCDetectionAP, VOCDetectionAPs

__all__ = ["COCODetectionAP", "VOCClassificationAP", "VOCDetectionAP", "VOCDetectionAPs"]
