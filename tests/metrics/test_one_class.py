"""Figures by class have one dimension, also where there is one class."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from vjo_train.metrics.choices import CategoryAccuracy
from vjo_train.metrics.coco import COCODetectionAP
from vjo_train.metrics.collect import ShapedMetric
from vjo_train.metrics.instance import VOCMaskAPs
from vjo_train.metrics.keypoints import KeypointAP
from vjo_train.metrics.panoptic import PanopticFigures
from vjo_train.metrics.segmentation import SegmentationIoU
from vjo_train.metrics.voc import APSetting, VOCClassificationAP, VOCDetectionAP

BOX = {"boxes": torch.tensor([[0.0, 0, 5, 5]]), "labels": torch.tensor([0]), "scores": torch.tensor([0.5])}
OBJECT = {name: BOX[name] for name in ("boxes", "labels")}
MASK = {"masks": torch.ones(1, 6, 6, dtype=torch.bool)}
POINTS = {"keypoints": torch.ones(1, 2, 3)}
MAP = torch.tensor([[[[0, 1]]]])
METRICS: dict[str, tuple[Callable[[], ShapedMetric], tuple[object, ...], str]] = {
    "voc": (lambda: VOCDetectionAP(1), ([BOX], [OBJECT]), "ap"),
    "voc masks": (lambda: VOCMaskAPs(1, {"r50": APSetting()}), ([BOX | MASK], [OBJECT | MASK]), "ap_r50"),
    "coco": (lambda: COCODetectionAP(1), ([BOX], [OBJECT]), "ap"),
    "keypoints": (
        lambda: KeypointAP(1, [0.1, 0.1]),
        ([BOX | POINTS], [OBJECT | POINTS | {"areas": torch.ones(1)}]),
        "ap",
    ),
    "classification": (
        lambda: VOCClassificationAP(1),
        (torch.tensor([[0.5], [0.2]]), torch.tensor([[1], [-1]])),
        "ap",
    ),
    "segmentation": (lambda: SegmentationIoU(1), (torch.tensor([[1]]), torch.tensor([[1]])), "iou"),
    "panoptic": (lambda: PanopticFigures(torch.tensor([True])), (MAP, MAP), "pq_class"),
    "category": (lambda: CategoryAccuracy(1), (torch.ones(1), 0), "recall"),
}


@pytest.mark.parametrize("name", METRICS)
def test_figures_by_class_keep_their_dimension(name: str) -> None:
    make, given, key = METRICS[name]
    metric = make()
    metric.update(*given)
    first: Tensor = metric.compute()[key]
    assert first.shape == (1,)
    assert torch.equal(metric.compute()[key], first)  # from torchmetrics' cache
    assert pickle.loads(pickle.dumps(metric)).compute()[key].shape == (1,)
    assert all(value.ndim == 0 for other, value in metric.compute().items() if other != key)
