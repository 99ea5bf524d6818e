"""SDMGrad (Xiao, Ban & Ji 2023, "Direction-oriented Multi-objective Learning: Simple and Provable...")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Unpack

import torch
from annotated_types import Ge, Gt, Interval
from torch import Tensor

from vjo_train.weighting.gradients import GradientOptions, GradientWeighting
from vjo_train.weighting.solvers import onto_simplex


def sdmgrad_simplex(
    gramian: Tensor, start: Tensor, preference: float, lr: float, momentum: float, iterations: int
) -> Tensor:
    """Projected descent of |J^T (w + preference / K)|^2 / 2 over the simplex, from `start` [K]; G at mean norm 1."""
    k = len(gramian)
    scaled = gramian / gramian.diagonal().sqrt().mean().clamp(min=1e-150) ** 2
    w, velocity = start, torch.zeros_like(start)
    for _ in range(iterations):
        velocity = momentum * velocity + scaled @ (w + preference / k)
        w = onto_simplex(w - lr * velocity)
    return w


class SDMGrad(GradientWeighting):
    """MGDA drawn towards the mean gradient: weights w on the simplex, carried on from batch to batch.

    The paper takes the two factors of the gradient of w from independent batches; here, as in the authors' code, both
    are of this batch.

    Scale: weights (K w + preference) / (1 + preference), which sum to K. Heads get their own gradients.

    Args:
        tasks: the names of all heads.
        preference: lambda, how much the mean gradient counts.
        lr: step size of w; the authors use 10, with which the steps overshoot and blow up rounding errors.
        momentum: share of the last step of w that is kept, within a batch.
        iterations: steps of w at each batch.
        options: see `GradientWeighting`.
    """

    simplex: Tensor

    def __init__(
        self,
        *,
        preference: Annotated[float, Ge(0)] = 0.3,
        lr: Annotated[float, Gt(0)] = 0.3,
        momentum: Annotated[float, Interval(ge=0, lt=1)] = 0.5,
        iterations: Annotated[int, Ge(1)] = 20,
        **options: Unpack[GradientOptions],
    ) -> None:
        super().__init__(**options)
        self.preference, self.lr, self.momentum, self.iterations = preference, lr, momentum, iterations
        k = len(self.tasks)
        self.register_buffer("simplex", torch.full((k,), 1 / k, dtype=torch.float64))

    def weights(self, gramian: Tensor, values: Tensor, tasks: Sequence[str]) -> Tensor:
        places, k = self.index(tasks), len(tasks)
        share = self.simplex[places].sum()
        start = self.simplex[places] / share if share > 0 else torch.full((k,), 1 / k, dtype=torch.float64)
        w = sdmgrad_simplex(gramian, start, self.preference, self.lr, self.momentum, self.iterations)
        self.simplex[places] = w * share  # the absent tasks keep theirs
        return (k * w + self.preference) / (1 + self.preference)
