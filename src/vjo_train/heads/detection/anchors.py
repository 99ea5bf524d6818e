"""Anchors over a pyramid, and which object each is matched with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torchvision.models.detection.anchor_utils import AnchorGenerator

from vjo_train.heads.detection.boxes import pairwise_iou
from vjo_train.heads.detection.objects import Objects

BACKGROUND, IGNORED = -1, -2

RATIOS = (0.5, 1.0, 2.0)
"""Height over width of the anchors of a cell; their area is that of a square."""


Cells = Literal["centred", "cornered"]
"""What place of the canvas a cell stands for: its middle, or, as in torchvision's detectors, its top left corner."""


def steps_of(shapes: Sequence[tuple[int, int]], strides: Sequence[int], cells: Cells) -> list[tuple[int, int]]:
    """Pixels of the canvas from cell to cell, down and across, for each level, finest first.

    They are the strides; torchvision, with `cornered` cells, divides the canvas by the number of cells, which makes a
    difference where it is no multiple of the stride.
    """
    if cells == "centred":
        return [(stride, stride) for stride in strides]
    height, width = (strides[0] * length for length in shapes[0])
    return [(height // rows, width // columns) for rows, columns in shapes]


def grid_anchors(
    shapes: Sequence[tuple[int, int]],
    strides: Sequence[int],
    sizes: Sequence[float],
    device: torch.device,
    cells: Cells = "centred",
) -> list[Tensor]:
    """The anchors of each level: around the place of each cell, each of `sizes` in each of `RATIOS`.

    Args:
        shapes: (height, width) of each level, in cells.
        strides: pixels per cell of each level.
        sizes: sides of the square anchors, in strides.
        device: where the anchors are wanted.
        cells: their places; `cornered` ones have square anchors of whole pixels.

    Returns:
        [h * w * A, 4] float32 per level, A = 3 * sizes: cells row by row, the anchors of a cell together.
    """
    # AnchorGenerator sets its anchors around the cells' top left corners.
    sides = [tuple(size * stride for size in sizes) for stride in strides]
    if cells == "cornered":
        sides = [tuple(math.floor(side) for side in own) for own in sides]
    generator = AnchorGenerator(tuple(sides), (RATIOS,) * len(strides))
    generator.set_cell_anchors(torch.float32, device)
    steps = [[torch.tensor(step, device=device) for step in own] for own in steps_of(shapes, strides, cells)]
    anchors = generator.grid_anchors([list(shape) for shape in shapes], steps)
    if cells == "cornered":
        return list(anchors)
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
