"""CAGrad (Liu et al. 2021, "Conflict-Averse Gradient Descent for Multi-task Learning")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Unpack

import torch
from annotated_types import Interval
from torch import Tensor

from vjo_train.weighting.gradients import GradientOptions, GradientWeighting
from vjo_train.weighting.solvers import check_count, conflict_averse


def cagrad_weights(gramian: Tensor, c: float) -> Tensor:
    """G [K, K] -> weights [K] = (1 + K c |g_0| / |g_w| w) / (1 + c).

    g_0 is the mean gradient, and w the point of the simplex that minimises <g_w, g_0> + c |g_0| |g_w|. Where g_w is
    zero (a Pareto-stationary point) the update is that of g_0 alone.
    """
    k = len(gramian)
    radius = c * gramian.mean().clamp(min=0).sqrt()
    w = conflict_averse(gramian, float(radius))
    length = (w @ gramian @ w).clamp(min=0).sqrt()
    weights = torch.ones(k, dtype=gramian.dtype)
    if length > 1e-7 * gramian.diagonal().max().sqrt():
        weights += k * radius / length * w
    return weights / (1 + c)


class CAGrad(GradientWeighting):
    """The update nearest to the mean gradient that helps the worst-off task most: |d - g_0| <= c |g_0|.

    Scale: K / (1 + c) times the paper's d (`rescale=2` in the authors' code), so the update is that of `equal` where
    all gradients agree, and (1 - c) / (1 + c) .. 1 of its length elsewhere. Heads get their own gradients. The problem
    is solved exactly.

    Args:
        tasks: the names of all heads (at most 10).
        c: radius of the search; 0.4 and 0.5 in the paper.
        options: see `GradientWeighting`.
    """

    def __init__(self, *, c: Annotated[float, Interval(ge=0, lt=1)] = 0.4, **options: Unpack[GradientOptions]) -> None:
        super().__init__(**options)
        check_count(self.tasks)
        self.c = c

    def weights(self, gramian: Tensor, values: Tensor, tasks: Sequence[str]) -> Tensor:
        return cagrad_weights(gramian, self.c)
