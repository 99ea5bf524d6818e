"""Depth: how far predictions are from the truth, image by image."""

from __future__ import annotations

import torch
from torch import Tensor

FIGURES = ("delta1", "delta2", "delta3", "abs_rel", "abs_err", "rmse", "log10")


def depth_figures(prediction: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """The field's figures (Eigen, Puhrsch, Fergus 2014) over the pixels of one image whose depth is known.

    `delta1..3`: the share of pixels where the greater of p / t and t / p is below 1.25, 1.25^2, 1.25^3 (higher is
    better); `abs_rel`: mean |p - t| / t; `abs_err`: mean |p - t|; `rmse`: root of the mean (p - t)^2; `log10`: mean
    |log10 p - log10 t|. MTAN and LibMTL publish `abs_err` and `abs_rel`, which they call relative error.

    Args:
        prediction: [H, W], above 0.
        truth: [H, W]; NaN where it is not known.

    Returns:
        Figure -> [] float64; NaN where no pixel is known.
    """
    known = truth.isfinite()
    found, there = prediction[known].double(), truth[known].double()
    ratio, error = torch.maximum(found / there, there / found), found - there
    return {
        **{f"delta{k}": (ratio < 1.25**k).double().mean() for k in (1, 2, 3)},
        "abs_rel": (error.abs() / there).mean(),
        "abs_err": error.abs().mean(),
        "rmse": error.square().mean().sqrt(),
        "log10": (found.log10() - there.log10()).abs().mean(),
    }
