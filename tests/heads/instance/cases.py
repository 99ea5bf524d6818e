"""Small heads and targets with masks for the tests of the instance heads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tests.heads.detection import cases
from vjo_train.heads.instance.base import InstanceHead
from vjo_train.heads.instance.mask_rcnn import MaskRCNN
from vjo_train.heads.instance.mnc import MNC
from vjo_train.types import Target

KINDS = ("mask_rcnn", "mnc3", "mnc5")
LABELLED = frozenset({"boxes", "masks"})
SIZE = cases.SIZE


def head(kind: str, **options: Any) -> InstanceHead:
    """A small head whose samples take all there is, so that nothing in it is random."""
    torch.manual_seed(0)
    small = {
        "anchors_per_image": 10**5,
        "rois_per_image": 10**5,
        "proposals": 30,
        "eval_proposals": 30,
        "hidden": 32,
        "mask_depth": 1,
    }
    given: dict[str, Any] = {"channels": cases.CHANNELS, "num_classes": cases.CLASSES, "mask_width": 16}
    if kind == "mask_rcnn":
        return MaskRCNN(**(given | small | options))
    return MNC(**(given | small | {"stages": int(kind[3:])} | options))


def ellipses(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """[N, H, W] bool: the ellipse in each box."""
    y, x = (torch.arange(n) + 0.5 for n in size)
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    across = (x - centre[:, 0, None]) / half[:, 0, None]
    down = (y - centre[:, 1, None]) / half[:, 1, None]
    return down[:, :, None] ** 2 + across[:, None, :] ** 2 <= 1


def target(
    boxes: Sequence[Sequence[float]] = (),
    labels: Sequence[int] | None = None,
    difficult: Sequence[bool] | None = None,
    *,
    labelled: frozenset[str] = LABELLED,
    size: tuple[int, int] = (SIZE, SIZE),
) -> Target:
    """Ellipses that fill their boxes; on the canvas if `size` is its size."""
    plain = cases.target(boxes, labels, difficult, size=size)
    return Target(size, {**plain.labels, "masks": ellipses(plain["boxes"].xyxy, size)}).only(labelled)


def mixed() -> list[Target]:
    """Many objects, one, none, difficult ones, one without masks, and one object without a pixel in its mask."""
    hidden = target([[4, 4, 44, 52], [50, 30, 90, 80]], [0, 2])
    hidden["masks"][0] = False
    return [
        target([[4, 4, 30, 40], [20, 20, 90, 80], [50, 8, 70, 30]], [0, 1, 2]),
        target([[10, 30, 60, 70]], [2]),
        target(),
        target([[10, 10, 40, 40], [50, 50, 90, 90]], [1, 0], [True, False]),
        target([[10, 30, 60, 70]], [2], labelled=frozenset({"boxes"})),
        hidden,
    ]
