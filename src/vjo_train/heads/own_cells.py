"""Pooling over the cells of a picture, its canvas' padding left out."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from vjo_train.sharing.features import SharedFeatures
from vjo_train.types import EXTENT, MEAN_COLOUR


def extent(images: Tensor) -> Tensor:
    """Where each picture lies on its canvas: the least rectangle outside of which all is padding.

    It is read off the pixels, so that training (where a picture may lie anywhere), evaluation, prediction and exported
    files agree and none needs more than the images. A picture whose own border has exactly the padding's colour over
    its whole length loses that border; one of nothing else counts as the whole canvas.

    Args:
        images: [B, 3, H, W] in 0..255, not normalised.

    Returns:
        `types.EXTENT`: [B, 4] float32.
    """
    ground = torch.tensor(MEAN_COLOUR, device=images.device, dtype=images.dtype).view(1, 3, 1, 1)
    inside = (images.detach() != ground).any(1)  # [B, H, W]
    return torch.cat([_span(inside.any(2)), _span(inside.any(1))], 1)


def placed(shared: SharedFeatures, images: Tensor) -> SharedFeatures:
    """The same features, every task's with `types.EXTENT` of the images beside them."""
    where = extent(images)
    return replace(shared, tasks={task: {**own, EXTENT: where} for task, own in shared.tasks.items()})


def _span(inside: Tensor) -> Tensor:
    """[B, N] -> [B, 2] float32: where the first true begins and the last one ends, as shares of N; 0 and 1 of none."""
    number = inside.shape[1]
    place = torch.arange(number, device=inside.device, dtype=torch.float32)
    known = inside.float()
    first = number - (known * (number - place)).amax(1)
    last = (known * (place + 1)).amax(1)
    nothing = last == 0
    return torch.stack([torch.where(nothing, 0.0, first), torch.where(nothing, float(number), last)], 1) / number


def covered(extents: Tensor, height: int, width: int) -> Tensor:
    """[B, 4] -> [B, height, width] float32: the share (0..1) of each cell of a grid over the canvas that is picture."""
    down = _overlap(extents[:, 0:1], extents[:, 1:2], height)
    across = _overlap(extents[:, 2:3], extents[:, 3:4], width)
    return down[:, :, None] * across[:, None, :]


def _overlap(start: Tensor, stop: Tensor, number: int) -> Tensor:
    """[B, 1] shares of a side -> [B, number]: how much of each cell lies between them."""
    cells = torch.arange(number, device=start.device, dtype=start.dtype)
    return (torch.minimum(stop * number, cells + 1) - torch.maximum(start * number, cells)).clamp(0, 1)


def pooled(feature: Tensor, extents: Tensor | None, how: Literal["average", "max"]) -> Tensor:
    """The mean, or the greatest value, over the cells of the picture.

    Args:
        feature: [B, C, h, w].
        extents: [B, 4], see `types.EXTENT`; None: the whole canvas. In a mean, a cell counts by its share of picture.
        how: the mean or the greatest value.

    Returns:
        [B, C] in the type of `feature`.
    """
    if extents is None:
        return feature.mean((2, 3)) if how == "average" else feature.amax((2, 3))
    share = covered(extents, feature.shape[2], feature.shape[3])[:, None]
    if how == "max":
        return torch.where(share > 0, feature, torch.finfo(feature.dtype).min).amax((2, 3))
    weights = (share / share.sum((2, 3), keepdim=True)).to(feature.dtype)
    return (feature * weights).sum((2, 3))
