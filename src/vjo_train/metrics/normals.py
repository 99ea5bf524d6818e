"""Surface normals: angles between predicted and true ones, image by image."""

from __future__ import annotations

import torch
from torch import Tensor

FIGURES = ("within_11", "within_22", "within_30", "mean_angle", "median_angle")


def angles(prediction: Tensor, truth: Tensor) -> Tensor:
    """[3, H, W] unit vectors each, the truth NaN where it is not known -> [N] degrees in 0..180 of known pixels."""
    known = truth.isfinite().all(0)
    found, there = prediction[:, known].double(), truth[:, known].double()
    # The arc tangent is exact near 0, where the arc cosine is not.
    across = torch.linalg.cross(found, there, dim=0).norm(dim=0)
    return torch.rad2deg(torch.atan2(across, (found * there).sum(0)))


def normals_figures(prediction: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """The field's figures (Fouhey, Gupta, Hebert 2013) over the pixels of one image whose normal is known.

    `within_11`, `within_22`, `within_30`: the share of pixels off by less than 11.25, 22.5 and 30 degrees (higher is
    better); `mean_angle` and `median_angle` in degrees, the median of an even number being the lower middle one.

    Args:
        prediction: [3, H, W], of length 1.
        truth: [3, H, W]; NaN where it is not known.

    Returns:
        Figure -> [] float64; NaN where no pixel is known.
    """
    found = angles(prediction, truth)
    return {
        **{f"within_{int(limit)}": (found < limit).double().mean() for limit in (11.25, 22.5, 30.0)},
        "mean_angle": found.mean(),
        "median_angle": found.median() if len(found) else found.mean(),
    }
