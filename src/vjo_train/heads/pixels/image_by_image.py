"""Losses at full size, a few images at a time: their gradients are taken with them, and only these are kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Losses: TypeAlias = Callable[[Tensor, slice], Tensor]
"""Maps [b, K, h, w] of some images and their places -> [b], where an image's loss depends on its own maps alone."""


def image_losses(maps: Tensor, losses: Losses, images: int) -> Tensor:
    """[B]: the losses of maps [B, K, h, w], `images` at a time.

    Values and gradients are those of `losses` on all images at once; a second derivative is not there. What `losses`
    makes on its way is freed before the next images, so it stays in the processor's cache or comes from memory that was
    just used: at full size that more than halves the time on a CPU, and no map of full size is kept for backward.
    """
    places = [slice(start, start + images) for start in range(0, len(maps), images)]
    if not (torch.is_grad_enabled() and maps.requires_grad):
        return torch.cat([losses(maps[some], some) for some in places])
    found: Tensor = _WithGradients.apply(maps, losses, places)
    return found


class _WithGradients(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, losses: Losses, places: list[slice]) -> Tensor:
        values, gradients = [], []
        for some in places:
            with torch.enable_grad():
                leaf = maps[some].detach().requires_grad_()
                own = losses(leaf, some)
                (gradient,) = torch.autograd.grad(own.sum(), leaf)
            values.append(own.detach())
            gradients.append(gradient)
        ctx.save_for_backward(torch.cat(gradients))
        return torch.cat(values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, None, None]:
        (gradients,) = ctx.saved_tensors
        return gradients * outer.view(-1, *[1] * (gradients.ndim - 1)), None, None
