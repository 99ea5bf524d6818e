"""Box arithmetic, batched over any leading dimensions. Boxes are 0-based continuous xyxy in pixels."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_SMALLEST = 1e-3
"""Pixels; thinner boxes count as this thin where a logarithm is taken."""
_GREATEST = math.log(1000 / 16)
"""Bound of the size offsets that `decode` follows, as in the code of Fast R-CNN's successors."""


@torch.no_grad()
def pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU of [..., N, 4] and [..., A, 4] -> [..., N, A], without gradient; 0 where both boxes are empty."""
    a, b = a[..., :, None, :], b[..., None, :, :]
    # In place: what is written anew for every pair costs more than what is computed.
    width = torch.minimum(a[..., 2], b[..., 2]).sub_(torch.maximum(a[..., 0], b[..., 0])).clamp_(min=0)
    height = torch.minimum(a[..., 3], b[..., 3]).sub_(torch.maximum(a[..., 1], b[..., 1])).clamp_(min=0)
    intersection = width.mul_(height)
    union = (area(a) + area(b)).sub_(intersection).clamp_(min=_SMALLEST**2)
    return intersection.div_(union)


def area(boxes: Tensor) -> Tensor:
    """[..., 4] -> [...] in square pixels."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def clip(boxes: Tensor, sizes: Tensor) -> Tensor:
    """Cuts boxes [B, R, 4] to their images' sizes [B, 2] (height, width)."""
    limits = sizes.flip(-1).repeat(1, 2)[:, None].to(boxes)
    return torch.minimum(boxes.clamp(min=0), limits)


def encode(boxes: Tensor, anchors: Tensor, weights: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)) -> Tensor:
    """Offsets of `boxes` from `anchors`, both [..., 4], in R-CNN's parametrisation (Girshick et al. 2014).

    The centre's shift in anchor sizes and the logarithm of the size's ratio, times `weights`.
    """
    centre, size = _centre_size(boxes)
    from_centre, from_size = _centre_size(anchors)
    offsets = torch.cat([(centre - from_centre) / from_size, (size / from_size).log()], dim=-1)
    return offsets * offsets.new_tensor(weights)


def decode(
    offsets: Tensor, anchors: Tensor, weights: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
) -> Tensor:
    """The inverse of `encode`; a box is at most 62.5 times as large as its anchor."""
    from_centre, from_size = _centre_size(anchors)
    offsets = offsets / offsets.new_tensor(weights)
    centre = from_centre + offsets[..., :2] * from_size
    half = 0.5 * from_size * offsets[..., 2:].clamp(max=_GREATEST).exp()
    return torch.cat([centre - half, centre + half], dim=-1)


def _centre_size(boxes: Tensor) -> tuple[Tensor, Tensor]:
    size = (boxes[..., 2:] - boxes[..., :2]).clamp(min=_SMALLEST)
    return 0.5 * (boxes[..., :2] + boxes[..., 2:]), size
