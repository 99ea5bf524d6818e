"""Between points of a picture and heat maps of boxes; no weights."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from vjo_train.heads.detection.dense import sum_per_image
from vjo_train.heads.detection.regions import Regions

SIDE = 56
"""Cells of a heat map per side (He, Gkioxari, Dollar, Girshick 2017)."""


def cells(points: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Where points lie on the heat maps of their boxes.

    Args:
        points: [M, K, 3] as of the kind `keypoints`, in the boxes' pixels.
        boxes: [M, 4].

    Returns:
        [M, K] int64: the cell, row by row; and [M, K] bool: the point is known and inside.
    """
    sides = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1e-3)
    low, high, given = boxes[:, None, :2], boxes[:, None, 2:], points[..., :2]
    inside = ((given >= low) & (given <= high)).all(-1) & (points[..., 2] > 0)
    # A point on the right or lower edge belongs to the last cell.
    columns, rows = ((given - low) / sides[:, None] * SIDE).floor().clamp(0, SIDE - 1).long().unbind(-1)
    return rows * SIDE + columns, inside


def located(logits: Tensor, boxes: Tensor) -> Tensor:
    """Heat maps [M, K, SIDE, SIDE] of boxes [M, 4] -> points [M, K, 3]: x, y in the boxes' pixels, and a probability.

    A point is the mean of the 3 x 3 cells around the best one, by their probabilities, whose sum is that of the point.
    """
    probability = logits.flatten(2).softmax(-1)
    best = probability.argmax(-1)
    rows, columns = best // SIDE, best % SIDE
    steps = torch.tensor([-1, 0, 1], device=logits.device)
    around_rows = rows[..., None, None] + steps[:, None]  # [M, K, 3, 1]
    around_columns = columns[..., None, None] + steps  # [M, K, 1, 3]
    there = (around_rows >= 0) & (around_rows < SIDE) & (around_columns >= 0) & (around_columns < SIDE)
    places = around_rows.clamp(0, SIDE - 1) * SIDE + around_columns.clamp(0, SIDE - 1)
    weights = probability.gather(-1, places.flatten(2)).view(places.shape) * there
    total = weights.sum((-1, -2))
    x = ((around_columns + 0.5) * weights).sum((-1, -2)) / total
    y = ((around_rows + 0.5) * weights).sum((-1, -2)) / total
    sides = boxes[:, None, 2:] - boxes[:, None, :2]
    placed = boxes[:, None, :2] + torch.stack([x, y], dim=-1) / SIDE * sides
    return torch.cat([placed, total[..., None]], dim=-1)


def point_loss(logits: Tensor, points: Tensor, regions: Regions, trained: Tensor) -> Tensor:
    """[B]: cross-entropy over the cells of a point's heat map, divided by its logarithm; the mean of an image's points.

    Args:
        logits: [P, K, SIDE, SIDE] of the regions that are true in `trained`.
        points: [P, K, 3]: of their objects, in canvas pixels.
        regions: M of them.
        trained: [M] bool.
    """
    wanted, known = cells(points, regions.boxes[trained])
    entropy = F.cross_entropy(logits.flatten(0, 1).flatten(1), wanted.flatten(), reduction="none").view_as(known)
    entropy = torch.where(known, entropy, 0.0).sum(1) / math.log(SIDE * SIDE)
    where = torch.zeros_like(regions.chosen).masked_scatter(regions.chosen, trained)
    counts = sum_per_image(known.sum(1).to(entropy.dtype), where)
    return sum_per_image(entropy, where) / counts.clamp(min=1)
