"""DualProj (Lopez-Paz & Ranzato 2017, "Gradient Episodic Memory for Continual Learning", equation 11)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import torch
from torch import Tensor

from vjo_train.weighting.gradients import GradientOptions, GradientWeighting
from vjo_train.weighting.solvers import check_count, cone_projection


def dualproj_weights(gramian: Tensor) -> Tensor:
    """G [K, K] -> weights [K]: the sum of the gradients, projected onto the dual cone of the rows."""
    return cone_projection(gramian, torch.ones(len(gramian), dtype=gramian.dtype))


class DualProj(GradientWeighting):
    """The direction nearest to the sum of the gradients that harms no task.

    Scale: weights are 1 where the sum harms no task, as under `equal`. Heads get their own gradients. Exact.

    Args:
        tasks: the names of all heads (at most 10).
        options: see `GradientWeighting`.
    """

    def __init__(self, **options: Unpack[GradientOptions]) -> None:
        super().__init__(**options)
        check_count(self.tasks)

    def weights(self, gramian: Tensor, values: Tensor, tasks: Sequence[str]) -> Tensor:
        return dualproj_weights(gramian)
