"""Losses of depth, image by image.

Each takes predictions [B, H, W], above 0, and the truth [B, H, W], NaN where it is not known, and gives [B], 0 where no
pixel is known.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vjo_train.heads.pixels.base import mean_of


def l1(found: Tensor, truth: Tensor) -> Tensor:
    """The mean absolute error."""
    known = truth.isfinite()
    return mean_of((found - torch.where(known, truth, found)).abs(), known)


def scale_invariant(found: Tensor, truth: Tensor) -> Tensor:
    """Mean d^2 - (mean d)^2 / 2 of d = log found - log truth (Eigen, Puhrsch, Fergus 2014)."""
    known = truth.isfinite()
    difference = found.log() - torch.where(known, truth, found).log()
    return mean_of(difference.square(), known) - mean_of(difference, known).square() / 2


def berhu(found: Tensor, truth: Tensor) -> Tensor:
    """The reverse Huber loss (Laina et al. 2016): the mean of e up to c, and of (e^2 + c^2) / 2c above, e = |error|.

    c is a fifth of the greatest error in the image, and no gradient goes through it.
    """
    known = truth.isfinite()
    error = (found - torch.where(known, truth, found)).abs()
    limit = (error.detach().amax((1, 2), keepdim=True) / 5).clamp(min=1e-6)
    return mean_of(torch.where(error <= limit, error, (error.square() + limit.square()) / (2 * limit)), known)
