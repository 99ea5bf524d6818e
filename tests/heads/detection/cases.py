"""Small heads, features and targets for the tests of the detection heads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from vjo_train.heads.detection.base import DetectionHead
from vjo_train.heads.detection.faster_rcnn import FasterRCNN
from vjo_train.heads.detection.fcos import FCOS
from vjo_train.heads.detection.retinanet import RetinaNet
from vjo_train.types import Batch, Boxes, Features, Target

LEVELS = ("p3", "p4", "p5", "p6", "p7")
CHANNELS = dict.fromkeys(LEVELS, 16)
CLASSES = 3
SIZE = 96  # p6 is 2 x 2 and p7 is 1 x 1


def head(kind: str, **options: Any) -> DetectionHead:
    """A small head; Faster R-CNN's samples take all there is, so that nothing in it is random."""
    torch.manual_seed(0)
    if kind == "fcos":
        return FCOS(channels=CHANNELS, num_classes=CLASSES, depth=1, **options)
    if kind == "retinanet":
        return RetinaNet(channels=CHANNELS, num_classes=CLASSES, depth=1, **options)
    # Half (a quarter) of the sample may be positive: these sizes leave room for all.
    whole = {"anchors_per_image": 10**5, "rois_per_image": 10**5, "proposals": 50, "eval_proposals": 50, "hidden": 32}
    return FasterRCNN(channels=CHANNELS, num_classes=CLASSES, **(whole | options))


def features(batch: int, seed: int = 0) -> Features:
    generator = torch.Generator().manual_seed(seed)
    sides = {level: -(-SIZE // 2 ** int(level[1:])) for level in LEVELS}
    return {level: torch.randn(batch, 16, side, side, generator=generator) for level, side in sides.items()}


def target(
    boxes: Sequence[Sequence[float]] = (),
    labels: Sequence[int] | None = None,
    difficult: Sequence[bool] | None = None,
    *,
    labelled: bool = True,
    size: tuple[int, int] = (SIZE, SIZE),
) -> Target:
    count = len(boxes)
    known = Boxes(
        xyxy=torch.tensor(boxes, dtype=torch.float32).reshape(count, 4),
        labels=torch.tensor(labels if labels is not None else [0] * count, dtype=torch.int64),
        difficult=torch.tensor(difficult if difficult is not None else [False] * count, dtype=torch.bool),
    )
    return Target(size, {"boxes": known} if labelled else {})


def mixed() -> list[Target]:
    """Many objects, one, none, difficult ones, and an image that is not labelled."""
    return [
        target([[4, 4, 30, 40], [20, 20, 90, 80], [50, 8, 70, 30]], [0, 1, 2]),
        target([[10, 30, 60, 70]], [2]),
        target(),
        target([[10, 10, 40, 40], [50, 50, 90, 90]], [1, 0], [True, False]),
        target([[10, 30, 60, 70]], [2], labelled=False),
    ]


def batch(targets: list[Target], scales: Sequence[float], originals: list[Target]) -> Batch:
    images = torch.zeros(len(targets), 3, SIZE, SIZE, dtype=torch.uint8)
    ids = [str(index) for index in range(len(targets))]
    return Batch(images, targets, ids, torch.tensor(scales), ("detection",), originals)


def part(maps: Features, index: int) -> dict[str, Tensor]:
    """The features of one image, as a batch of one."""
    return {level: feature[index : index + 1] for level, feature in maps.items()}
