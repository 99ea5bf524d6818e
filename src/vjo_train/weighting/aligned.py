"""Aligned-MTL (Senushkin et al. 2023, "Independent Component Alignment for Multi-Task Learning")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Unpack

import torch
from torch import Tensor

from vjo_train.weighting.gradients import GradientOptions, GradientWeighting


def aligned_weights(gramian: Tensor, scale: Literal["min", "median", "rmse"]) -> Tensor:
    """G = V diag(l) V^T [K, K] -> weights [K] = sqrt(s) V diag(l^-1/2) V^T 1 over the eigenvalues l > 0.

    s is the least of them, the lower median, or the mean. Eigenvalues up to K eps times the greatest count as 0; ones
    if all do.
    """
    values, vectors = torch.linalg.eigh(gramian)
    kept = values > values.max() * len(gramian) * torch.finfo(gramian.dtype).eps
    if not kept.any():
        return torch.ones(len(gramian), dtype=gramian.dtype)
    values, vectors = values[kept], vectors[:, kept]
    level = {"min": values.min(), "median": values.median(), "rmse": values.mean()}[scale]
    weights: Tensor = (level / values).sqrt() * vectors.sum(0) @ vectors.T
    return weights


class AlignedMTL(GradientWeighting):
    """Replaces the Jacobian by the nearest one with orthogonal rows of one length, then sums its rows.

    Scale: the paper's point is that length. With `min` it is the Jacobian's least singular value, so the update is
    SHORTER than that of `equal`, the more so the more the gradients agree or differ in length; `median` and `rmse` are
    milder. For orthogonal gradients of one length all weights are 1. Weights may be negative. Heads get their own
    gradients.

    Args:
        tasks: the names of all heads.
        scale: which singular value all are set to: min, median, rmse (their root mean square).
        options: see `GradientWeighting`.
    """

    def __init__(self, *, scale: Literal["min", "median", "rmse"] = "min", **options: Unpack[GradientOptions]) -> None:
        super().__init__(**options)
        self.scale: Literal["min", "median", "rmse"] = scale

    def weights(self, gramian: Tensor, values: Tensor, tasks: Sequence[str]) -> Tensor:
        return aligned_weights(gramian, self.scale)
