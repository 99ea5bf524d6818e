"""Nash-MTL (Navon et al. 2022, "Multi-Task Learning as a Bargaining Game")."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vjo_train.weighting.fair import fair_weights
from vjo_train.weighting.gradients import GradientWeighting

TOLERANCE = 1e-8


def scaled_fair_weights(gramian: Tensor, alpha: float) -> tuple[Tensor, float]:
    """G [K, K] -> weights [K] that solve G w = w^(-1/alpha) up to their scale, summing to K; and the residual.

    A task with a zero gradient takes no part: its weight is 1.
    """
    part = gramian.diagonal() > 0
    weights = torch.ones(len(gramian), dtype=gramian.dtype)
    if not part.any():
        return weights, 0.0
    block = gramian[part][:, part]
    solution, residual, _ = fair_weights(block / block.diagonal().mean(), alpha, TOLERANCE)
    weights[part] = solution / solution.mean()
    return weights, residual


class NashMTL(GradientWeighting):
    """The bargaining solution: the direction that maximises sum_k log <d, g_k>, which solves G w = 1 / w.

    Found by damped Newton on the K-dimensional strictly convex problem, from scratch at each batch, not by the paper's
    sequence of approximations from the last batch's weights. Near a Pareto-stationary point there is no solution: the
    last iterate, whose direction is then near the combination that vanishes, is used, logged with its residual and
    counted in `unsolved`.

    Scale: the weights sum to K, where the authors clip the update's norm to 1; the direction is the same, and does not
    depend on the lengths of the gradients. Heads get their own gradients.

    Args:
        tasks: the names of all heads.
        options: see `GradientWeighting`.
    """

    def weights(self, gramian: Tensor, values: Tensor, tasks: Sequence[str]) -> Tensor:
        weights, residual = scaled_fair_weights(gramian, 1.0)
        self.settle(residual, TOLERANCE, "the last iterate is used")
        return weights
