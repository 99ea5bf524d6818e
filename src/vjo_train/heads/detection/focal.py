"""The focal loss of one-stage detectors (Lin, Goyal, Girshick, He, Dollar 2017), gamma 2 and alpha 0.25."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

ALPHA = 0.25
"""Weight of what is there; that of background is 1 - ALPHA."""


def focal_loss(logits: Tensor, image: Tensor, row: Tensor, label: Tensor, unknown: Tensor | None = None) -> Tensor:
    """The loss of each row, summed over its classes: [B, R]; it has a first derivative only.

    Nearly all is background, so all is counted as that first, without a tensor of targets; the M positives are put
    right afterwards. The derivative is written down in the same pass, image by image, which stays in the cache: a
    fraction of the time and memory of the same steps under autograd.

    Args:
        logits: [B, R, C] float32.
        image: [M] of each positive.
        row: [M] likewise; no row twice.
        label: [M] likewise: the class that is there.
        unknown: [B, C] bool: classes that count at the positives of an image alone; None: none.
    """
    loss: Tensor = _FocalLoss.apply(logits, image, row, label, unknown)
    return loss


class _FocalLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, image: Tensor, row: Tensor, label: Tensor, unknown: Tensor | None) -> Tensor:
        loss, slopes = logits.new_empty(logits.shape[:2]), torch.empty_like(logits)
        left_out = None if unknown is None else _negatives(logits, image, row) & unknown[:, None]
        for place, (one, total, slope) in enumerate(zip(logits, loss, slopes, strict=True)):
            cost = _background(one, slope)
            if left_out is not None:
                cost.masked_fill_(left_out[place], 0.0)
                slope.masked_fill_(left_out[place], 0.0)
            torch.sum(cost, -1, out=total)
        there = logits[image, row, label]
        slope, reverse = torch.empty_like(there), torch.empty_like(there)
        present = _background(-there, reverse)  # what is there is what its negative is not
        change = ALPHA * present - (1 - ALPHA) * _background(there, slope)
        loss.mul_(1 - ALPHA).index_put_((image, row), change, accumulate=True)
        slopes.mul_(1 - ALPHA)[image, row, label] = -ALPHA * reverse
        ctx.save_for_backward(slopes)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        (slopes,) = ctx.saved_tensors
        return slopes * gradient[..., None], None, None, None, None


def _negatives(logits: Tensor, image: Tensor, row: Tensor) -> Tensor:
    """[B, R, 1] bool: the rows that are not positive."""
    rows = torch.ones(*logits.shape[:2], 1, dtype=torch.bool, device=logits.device)
    rows[image, row] = False
    return rows


def _background(logits: Tensor, slope: Tensor) -> Tensor:
    """p^2 log(1 / (1 - p)) of each logit; its derivative p^2 (2 (1 - p) log(1 / (1 - p)) + p) goes into `slope`."""
    p = logits.sigmoid()
    # log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|)): a fraction of the time of `log1p`, and as good beside p^2.
    entropy = logits.abs().neg_().exp_().add_(1).log_().add_(logits.clamp(min=0))
    square = p.square()
    torch.mul((1 - p).mul_(entropy).mul_(2).add_(p), square, out=slope)
    return square.mul_(entropy)
