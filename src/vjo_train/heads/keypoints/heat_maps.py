"""Between points of an image and heat maps of boxes; no weights."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

WINDOW = 5
"""Cells per side around the likeliest one that say where in it, or beside it, the point lies."""


def cells(points: Tensor, boxes: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The cell of each point on a grid of `size` x `size` cells over its box.

    Args:
        points: [M, K, 3]: x, y, and 0 for those that are unknown.
        boxes: [M, 4] in the same pixels.
        size: cells per side.

    Returns:
        [M, K] int64, row by row; and [M, K] bool: known, and in the box.
    """
    low, high = boxes[:, None, :2], boxes[:, None, 2:]
    inside = ((points[..., :2] >= low) & (points[..., :2] <= high)).all(-1) & (points[..., 2] > 0)
    place = (points[..., :2] - low) / (high - low).clamp(min=1e-3) * size
    column, row = place.floor().clamp(0, size - 1).long().unbind(-1)
    return row * size + column, inside


def heat_map_loss(logits: Tensor, points: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy over the cells of each map, as of one choice among them (He et al. 2017).

    It is divided by the logarithm of the number of cells, so that maps that know nothing have a loss of 1.

    Args:
        logits: [M, K, m, m].
        points: [M, K, 3], as for `cells`.
        boxes: [M, 4].

    Returns:
        [M]: the sum over the points of a box that are known and lie in it; and [M]: how many these are.
    """
    wanted, known = cells(points, boxes, logits.shape[-1])
    entropy = F.cross_entropy(logits.flatten(2).flatten(0, 1), wanted.flatten(), reduction="none").view_as(wanted)
    return torch.where(known, entropy, 0.0).sum(1) / math.log(logits.shape[2] * logits.shape[3]), known.sum(1)


def points_of_maps(logits: Tensor, boxes: Tensor) -> Tensor:
    """The inverse: where the points lie.

    A point is the mean of the probabilities of the cells in a window around the likeliest one, so that it is not bound
    to the middles of cells. Deviation: the paper's code enlarges each map to its box's pixels and takes the greatest
    value; sizes that depend on boxes cannot be exported.

    Args:
        logits: [M, K, m, m].
        boxes: [M, 4].

    Returns:
        [M, K, 3]: x, y in the pixels of the boxes, and the probability that the point lies in that window.
    """
    size = logits.shape[-1]
    shares = logits.float().flatten(2).softmax(-1)
    best = shares.argmax(-1, keepdim=True)
    maps = shares.view(*shares.shape[:2], size, size)
    middles = (torch.arange(size, device=logits.device) + 0.5) / size
    window = [
        _sums(part).flatten(2).gather(2, best)[..., 0] for part in (maps, maps * middles, maps * middles[:, None])
    ]
    mass = window[0].clamp(min=1e-12)
    low, high = boxes[:, None, :2], boxes[:, None, 2:]
    places = torch.stack([window[1] / mass, window[2] / mass], dim=-1)
    return torch.cat([low + places * (high - low), window[0].clamp(max=1)[..., None]], dim=-1)


def _sums(maps: Tensor) -> Tensor:
    """[M, K, m, m]: the sum over the window around each cell."""
    return F.avg_pool2d(maps, WINDOW, stride=1, padding=WINDOW // 2) * WINDOW**2
