"""The way of a picture to the canvas and back as a part of an exported graph: plain operators, any size of picture.

It is `data.letterbox.letterbox` in floating point, rounded once, where that rounds along each axis: values differ by at
most one level of 256. Files more than twice as large as the canvas are reduced by whole factors as they are read, which
is another, coarser average.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vjo_train.types import MEAN_COLOUR, Canvas, Frames


def frames_of(pictures: Tensor, canvas: Canvas) -> Frames:
    """Where pictures [B, 3, H, W] lie on their canvases."""
    number, _, height, width = pictures.shape
    sizes = torch.stack([torch.full((number,), height), torch.full((number,), width)], dim=1)
    return Frames.of_files(sizes, canvas)


def on_canvas(pictures: Tensor, frames: Frames) -> Tensor:
    """Pictures [B, 3, H, W] of uint8, scaled to fit, at the top left of canvases of the mean colour: [B, 3, h, w]."""
    (height, width), size = frames.canvas, frames.sizes[0].double()
    down = _averages(pictures.shape[2], size[0], height)
    across = _averages(pictures.shape[3], size[1], width)
    scaled = (down @ (pictures.float() @ across.T)).round().clamp(0, 255)
    inside = (torch.arange(height) < size[0])[:, None] & (torch.arange(width) < size[1])[None]
    ground = torch.tensor(MEAN_COLOUR, dtype=torch.float32)[:, None, None]
    return torch.where(inside, scaled, ground).to(torch.uint8)


def to_pictures(maps: Tensor, frames: Frames, height: int, width: int) -> Tensor:
    """Maps [B, K, h, w] on the canvas, cut to the pictures and brought to their pixels: [B, K, height, width].

    Bilinear, as `interpolate` without corners aligned.
    """
    size = frames.sizes[0].double()
    first, second, share = _between(height, size[0])
    share = share[:, None]
    maps = maps.index_select(2, first) * (1 - share) + maps.index_select(2, second) * share
    first, second, share = _between(width, size[1])
    return maps.index_select(3, first) * (1 - share) + maps.index_select(3, second) * share


def _averages(length: int, size: Tensor, total: int) -> Tensor:
    """[total, length] float32: how much each pixel of an axis gives to those of the canvas.

    Bilinear interpolation, which averages over what falls into a pixel where there are fewer of them.

    Args:
        length: pixels of the picture.
        size: how many they become: a float64 scalar.
        total: pixels of the canvas.
    """
    step = length / size
    centres = (torch.arange(total, dtype=torch.float64) + 0.5) * step
    places = torch.arange(length, dtype=torch.float64) + 0.5
    weights = (1 - (places[None] - centres[:, None]).abs() / step.clamp(min=1)).clamp(min=0)
    return (weights / weights.sum(1, keepdim=True).clamp(min=1e-9)).float()


def _between(length: int, size: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For each of `length` pixels, the two of `size` between which it lies, and the share of the second."""
    last = size - 1
    place = ((torch.arange(length, dtype=torch.float64) + 0.5) * (size / length) - 0.5).clamp(min=0)
    place = torch.minimum(place, last)
    first = place.floor()
    second = torch.minimum(first + 1, last)
    return first.long(), second.long(), (place - first).float()
