"""Anchors over a pyramid, and which object each is matched with."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.models.detection.anchor_utils import AnchorGenerator

from vjo_train.heads.detection.boxes import pairwise_iou
from vjo_train.heads.detection.objects import Objects

BACKGROUND, IGNORED = -1, -2

RATIOS = (0.5, 1.0, 2.0)
"""Height over width of the anchors of a cell; their area is that of a square."""


def grid_anchors(
    shapes: Sequence[tuple[int, int]], strides: Sequence[int], sizes: Sequence[float], device: torch.device
) -> list[Tensor]:
    """The anchors of each level: around the centre of each cell, each of `sizes` in each of `RATIOS`.

    Args:
        shapes: (height, width) of each level, in cells.
        strides: pixels per cell of each level.
        sizes: sides of the square anchors, in strides.
        device: where the anchors are wanted.

    Returns:
        [h * w * A, 4] float32 per level, A = 3 * sizes: cells row by row, the anchors of a cell together.
    """
    # AnchorGenerator sets its anchors around the cells' top left corners: hence the half stride.
    generator = AnchorGenerator(
        tuple(tuple(size * stride for size in sizes) for stride in strides), (RATIOS,) * len(strides)
    )
    generator.set_cell_anchors(torch.float32, device)
    steps = [[torch.tensor(stride, device=device)] * 2 for stride in strides]
    anchors = generator.grid_anchors([list(shape) for shape in shapes], steps)
    return [level + stride / 2 for level, stride in zip(anchors, strides, strict=True)]


@torch.no_grad()
def match(boxes: Tensor, objects: Objects, foreground: float, background: float, keep_best: bool) -> Tensor:
    """Matches boxes with the object of the greatest IoU, difficult ones included.

    A box with an IoU of at least `foreground` is matched; one below `background` is background; one between is
    ignored. With `keep_best`, the boxes that have an object's greatest IoU are matched however small that is
    (Ren et al. 2015), with the object that they overlap most. A match with a difficult object is ignored.

    Args:
        boxes: [R, 4] or [B, R, 4].
        objects: of B images.
        foreground: least IoU of a match.
        background: IoU from which on a box is no background.
        keep_best: whether each object gets a box.

    Returns:
        [B, R] int64: the index of the object, `BACKGROUND` or `IGNORED`.
    """
    present = objects.real | objects.difficult
    iou = pairwise_iou(objects.boxes, boxes).masked_fill_(~present[..., None], -1.0)  # [B, N, R]
    greatest, index = iou.max(dim=1)
    found = torch.where(greatest < background, BACKGROUND, IGNORED)
    matched = greatest >= foreground
    if keep_best:
        best = iou.amax(dim=2, keepdim=True)
        matched = matched | ((iou == best) & (best > 0)).any(1)
    found = torch.where(matched, index, found)
    return torch.where(matched & objects.difficult.gather(1, index), IGNORED, found)
