"""Maps of how much each place of some features counts for a score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from vjo_train.types import Canvas

Method: TypeAlias = Literal["grad_cam", "hires_cam"]


def activation_map(
    features: Sequence[Tensor], gradients: Sequence[Tensor | None], canvas: Canvas, method: Method = "grad_cam"
) -> Tensor:
    """What each pixel of a canvas adds to a score, to first order in the features there; what takes away counts 0.

    Grad-CAM (Selvaraju et al. 2017, "Grad-CAM: visual explanations from deep networks via gradient-based
    localization"): relu(sum_c a_c A_c), a_c the mean over the cells of dy/dA_c. HiResCAM (Draelos & Carin 2020, "Use
    HiResCAM instead of Grad-CAM for faithful explanations"): relu(sum_c dy/dA_c A_c), cell by cell, so that a place
    counts only where the score looks at it. Where the score is linear in the mean of the features, both are the same.

    Of several features, such as the levels of a pyramid, each cell's share is spread over its pixels before they are
    added up and the negative part is cut: with one positive feature, the map sums up to its part of the score.

    Args:
        features: [B, C, h, w] each; a level's cells cover the canvas.
        gradients: of the score, like the features; None where it does not depend on one.
        canvas: (H, W) in pixels.
        method: which of the two.

    Returns:
        [B, H, W] float32 >= 0.

    Raises:
        ValueError: there are no features.
    """
    if not features:
        raise ValueError("features: found none; at least one is needed.")
    total = features[0].new_zeros(len(features[0]), 1, *canvas, dtype=torch.float32)
    for feature, gradient in zip(features, gradients, strict=True):
        if gradient is None:
            continue
        slope = gradient.float()
        if method == "grad_cam":
            slope = slope.mean((2, 3), keepdim=True)
        cells = (slope * feature.float()).sum(1, keepdim=True)
        per_pixel = cells * (feature.shape[2] * feature.shape[3] / (canvas[0] * canvas[1]))
        total += F.interpolate(per_pixel, size=canvas, mode="bilinear", align_corners=False)
    return total[:, 0].relu()
