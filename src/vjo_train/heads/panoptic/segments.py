"""The segments of a picture, and how they are made of objects and a class map."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vjo_train.types import Detections, Movable


@dataclass
class Segments(Movable):
    """S segments of one image, none of which overlap."""

    ids: Tensor
    """[H, W] int32: k + 1 for segment k, 0 for pixels of none."""
    labels: Tensor
    """[S] int64 in 0..C-1."""
    scores: Tensor
    """[S] float32; 1 for stuff."""
    things: Tensor
    """[S] bool: an object; else stuff."""


def merged(
    objects: Detections, semantic: Tensor, things: Tensor, *, score: float, overlap: float, least_area: float
) -> Segments:
    """Objects from the best score down, then stuff where none is (Kirillov, Girshick, He, Dollar 2019).

    Args:
        objects: of one image, best score first, with masks.
        semantic: [H, W] integer: 0 background, k + 1 class k.
        things: [C] bool: the classes of objects; the others are stuff.
        score: objects with a lower one are left out.
        overlap: so are those of which a smaller share is left by better ones.
        least_area: so is stuff of a class that takes a smaller share of the picture.
    """
    assert objects.masks is not None, "an instance head gives masks"
    ids = torch.zeros(semantic.shape, dtype=torch.int32, device=semantic.device)
    labels: list[int] = []
    scores: list[float] = []
    rows = zip(objects.masks, objects.labels.tolist(), objects.scores.tolist(), strict=True)
    for mask, label, value in rows:
        free = mask & (ids == 0)
        area = int(mask.sum())
        if value < score or not area or int(free.sum()) < max(overlap * area, 1):
            continue
        labels.append(label)
        scores.append(value)
        ids[free] = len(labels)
    count = len(labels)
    left = torch.where(ids == 0, semantic.long(), 0)
    areas = torch.bincount(left.flatten(), minlength=len(things) + 1)[1 : len(things) + 1]
    for label in range(len(things)):
        if not things[label] and areas[label] > 0 and areas[label] >= least_area * left.numel():
            labels.append(label)
            ids[left == label + 1] = len(labels)
    return Segments(
        ids=ids,
        labels=torch.tensor(labels, dtype=torch.int64, device=ids.device),
        scores=torch.tensor([*scores, *[1.0] * (len(labels) - count)], device=ids.device),
        things=torch.arange(len(labels), device=ids.device) < count,
    )


def contours(ids: Tensor, width: int = 1) -> Tensor:
    """[H, W] bool: pixels of segments with those of another one, or of none, within `width` pixels along an axis."""
    found = torch.zeros_like(ids, dtype=torch.bool)
    for axis in (0, 1):
        for step in range(1, min(width, ids.shape[axis] - 1) + 1):
            left, right = ids.narrow(axis, 0, ids.shape[axis] - step), ids.narrow(axis, step, ids.shape[axis] - step)
            found.narrow(axis, 0, ids.shape[axis] - step).logical_or_(left != right)
            found.narrow(axis, step, ids.shape[axis] - step).logical_or_(left != right)
    return found & (ids > 0)
