"""UPGrad (Quinton & Rey 2024, "Jacobian Descent for Multi-Objective Optimization")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import torch
from torch import Tensor

from vjo_train.weighting.gradients import GradientOptions, GradientWeighting
from vjo_train.weighting.solvers import check_count, cone_projection


def upgrad_weights(gramian: Tensor) -> Tensor:
    """G [K, K] -> weights [K]: the sum of the projections of each g_k onto the dual cone of all rows."""
    units = torch.eye(len(gramian), dtype=gramian.dtype)
    return torch.stack([cone_projection(gramian, unit) for unit in units]).sum(0)


class UPGrad(GradientWeighting):
    """Projects each task's gradient onto the cone of directions that harm no task, then sums.

    The update has no negative product with any task's gradient, and grows with each gradient's length. The projections
    are exact, without TorchJD's normalisation and regularisation of G.

    Scale: K times the paper's mean: weights are 1 where no two tasks conflict, as under `equal`. Heads get their own
    gradients.

    Args:
        tasks: the names of all heads (at most 10).
        options: see `GradientWeighting`.
    """

    def __init__(self, **options: Unpack[GradientOptions]) -> None:
        super().__init__(**options)
        check_count(self.tasks)

    def weights(self, gramian: Tensor, values: Tensor, tasks: Sequence[str]) -> Tensor:
        return upgrad_weights(gramian)
