"""The documented scale of the losses, whatever the number of classes and the size."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from tests import tiny
from vjo_train.backbones.neck import FPN
from vjo_train.heads.base import Head
from vjo_train.heads.classification import Classification
from vjo_train.heads.detection.faster_rcnn import FasterRCNN
from vjo_train.heads.detection.fcos import FCOS
from vjo_train.heads.detection.retinanet import RetinaNet
from vjo_train.heads.instance.mask_rcnn import MaskRCNN
from vjo_train.heads.keypoints.fcos import FCOSKeypoints
from vjo_train.heads.keypoints.keypoint_rcnn import KeypointRCNN
from vjo_train.heads.semantic import DeepLabV3, SemanticFPN
from vjo_train.types import Boxes, Keypoints, Target

IMAGES, SEEDS = 8, 12


def scene(classes: int, side: int) -> tuple[torch.Tensor, list[Target]]:
    """The same pictures and objects for every number of classes and every side: enlarged, and with other names."""
    batch = tiny.batch(IMAGES, labelled=[tiny.ALL] * IMAGES)
    zoom = side // tiny.SIZE
    generator = torch.Generator().manual_seed(5)
    targets = []
    for target in batch.targets:
        boxes = target["boxes"]
        labels = torch.randint(0, classes, boxes.labels.shape, generator=generator)
        present = torch.full((classes,), -1, dtype=torch.int8)
        present[labels] = 1
        names = torch.cat([torch.zeros(1), torch.randint(1, classes + 1, (tiny.CLASSES,), generator=generator)])
        semantic, masks = names.to(torch.uint8)[target["semantic"].int()], target["masks"]
        known = {
            "classes": present,
            "boxes": Boxes(boxes.xyxy * zoom, labels, boxes.difficult),
            "semantic": semantic.repeat_interleave(zoom, 0).repeat_interleave(zoom, 1),
            "masks": masks.repeat_interleave(zoom, 1).repeat_interleave(zoom, 2),
            "keypoints": corners(boxes.xyxy * zoom),
        }
        targets.append(Target((side, side), known))
    images = F.interpolate(batch.images.float(), scale_factor=zoom, mode="bilinear")
    return (images - 128) / 64, targets


def corners(boxes: torch.Tensor) -> Keypoints:
    """The top left and the bottom right corner of each object."""
    points = torch.cat([boxes.view(-1, 2, 2), torch.full((len(boxes), 2, 1), 2.0)], dim=-1)
    return Keypoints(points, (boxes[:, 2:] - boxes[:, :2]).prod(1), torch.empty(0, 2, dtype=torch.int64))


def heads(classes: int, channels: dict[str, int]) -> dict[str, Head]:
    given = {"channels": channels, "num_classes": classes}
    regions = {"hidden": 64, "anchors_per_image": 64, "proposals": 50, "rois_per_image": 32}
    return {
        "classification": Classification(**given, dropout=0.0),
        "classification, max": Classification(**given, dropout=0.0, pool="max"),
        "fcos": FCOS(**given, depth=1),
        "retinanet": RetinaNet(**given, depth=1),
        "faster_rcnn": FasterRCNN(**given, **regions),
        "mask_rcnn": MaskRCNN(**given, **regions, mask_depth=1),
        "semantic fpn": SemanticFPN(**given, width=16),
        "deeplab": DeepLabV3(**given, width=16, dropout=0.0),
        "keypoint_rcnn": KeypointRCNN(**given, **regions, point_depth=1, points=2),
        "keypoints, fcos": FCOSKeypoints(**given, depth=1, point_depth=1, points=2),
    }


def measured(classes: int, side: int) -> dict[str, tuple[float, float]]:
    """Head -> its loss and the norm of its gradient in the shared part, geometric means over random weights."""
    images, targets = scene(classes, side)
    sums: dict[str, torch.Tensor] = {}
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        backbone = tiny.TinyBackbone()
        neck = FPN(in_channels=backbone.channels, channels=16)
        shared = [*backbone.parameters(), *neck.parameters()]
        pyramid = backbone(images)
        features = {**pyramid, **neck(pyramid)}
        for name, head in heads(classes, {**backbone.channels, **neck.channels}).items():
            loss = head.loss(head(features), targets).mean()
            found = torch.autograd.grad(loss, shared, retain_graph=True, allow_unused=True)
            norm = torch.stack([g.square().sum() for g in found if g is not None]).sum().sqrt()
            sums[name] = sums.get(name, 0) + torch.stack([loss.detach(), norm]).log()
    return {name: tuple((total / SEEDS).exp().tolist()) for name, total in sums.items()}


@pytest.fixture(scope="module")
def base() -> dict[str, tuple[float, float]]:
    return measured(6, tiny.SIZE)


def shares(figures: dict[str, tuple[float, float]], network: tuple[str, ...]) -> dict[str, float]:
    """Head -> its share of the sum of the gradient norms in the shared part of a network with these heads."""
    return {name: figures[name][1] / sum(figures[other][1] for other in network) for name in network}


NETWORKS = [
    ("classification", "fcos", "semantic fpn", "mask_rcnn"),
    ("classification, max", "retinanet", "deeplab"),
    ("classification", "faster_rcnn"),
    ("classification", "keypoint_rcnn", "keypoints, fcos"),
]


@pytest.mark.parametrize(("classes", "side"), [(12, tiny.SIZE), (6, 2 * tiny.SIZE)], ids=["classes", "side"])
def test_twice_the_classes_or_the_side_leave_the_tasks_shares(
    base: dict[str, tuple[float, float]], classes: int, side: int
) -> None:
    other = measured(classes, side)
    for network in NETWORKS:
        before, after = shares(base, network), shares(other, network)
        for name in network:
            assert max(after[name] / before[name], before[name] / after[name]) < 1.5, (network, name)


def test_losses_at_the_start_are_as_documented(base: dict[str, tuple[float, float]]) -> None:
    assert base["classification"][0] == pytest.approx(math.log(2), rel=0.1)
    assert base["semantic fpn"][0] == pytest.approx(math.log(7), rel=0.2)
    assert base["deeplab"][0] == pytest.approx(math.log(7), rel=0.2)
    for name in ("fcos", "retinanet", "faster_rcnn", "mask_rcnn", "keypoint_rcnn"):
        assert 1.5 < base[name][0] < 4.5, name
    assert base["keypoint_rcnn"][0] - base["faster_rcnn"][0] == pytest.approx(1, abs=0.5)
    assert base["keypoints, fcos"][0] - base["fcos"][0] == pytest.approx(3 * 1.3, abs=0.5)  # point_weight is 3
