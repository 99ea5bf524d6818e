"""FairGrad (Ban & Ji 2024, "Fair Resource Allocation in Multi-Task Learning")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Unpack

from annotated_types import Gt
from torch import Tensor

from vjo_train.weighting.gradients import GradientOptions, GradientWeighting
from vjo_train.weighting.nash import TOLERANCE, scaled_fair_weights


class FairGrad(GradientWeighting):
    """The alpha-fair direction: maximises sum_k <d, g_k>^(1 - alpha) / (1 - alpha), which solves G w = w^(-1/alpha).

    alpha = 1 is Nash-MTL; near 0 it is `equal`; the larger, the more the worst-off task counts. Solved by damped
    Newton, where the authors use least squares; what happens without a solution is said at `NashMTL`.

    Scale: the weights sum to K, where the authors leave them as the equation gives them. Heads get their own gradients.

    Args:
        tasks: the names of all heads.
        alpha: fairness; the paper uses 2.
        options: see `GradientWeighting`.
    """

    def __init__(self, *, alpha: Annotated[float, Gt(0)] = 2.0, **options: Unpack[GradientOptions]) -> None:
        super().__init__(**options)
        self.alpha = alpha

    def weights(self, gramian: Tensor, values: Tensor, tasks: Sequence[str]) -> Tensor:
        weights, residual = scaled_fair_weights(gramian, self.alpha)
        self.settle(residual, TOLERANCE, "the last iterate is used")
        return weights
