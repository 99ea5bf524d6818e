"""PCGrad, gradient surgery (Yu et al. 2020, "Gradient Surgery for Multi-Task Learning")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Unpack

import torch
from annotated_types import Ge
from torch import Tensor

from vjo_train.weighting.gradients import GradientOptions, GradientWeighting
from vjo_train.weighting.random_order import generator, orders


def pcgrad_weights(gramian: Tensor, orders: Sequence[Sequence[int]]) -> Tensor:
    """G [K, K], and for each task i the order in which it meets the others -> weights [K].

    g_i' starts as g_i; for each j in the order, where <g_i', g_j> < 0: g_i' -= <g_i', g_j> / <g_j, g_j> g_j, against
    the ORIGINAL g_j. The sum of the g_i' is J^T w.
    """
    parts = torch.eye(len(gramian), dtype=gramian.dtype)
    for part, order in zip(parts, orders, strict=True):
        for j in order:
            product = gramian[j] @ part
            if product < 0:  # so g_j is not zero
                part[j] -= product / gramian[j, j]
    return parts.sum(0)


class PCGrad(GradientWeighting):
    """Takes from each task's gradient what conflicts with the others', then sums.

    Scale: the weights are 1 where no two tasks conflict, as under `equal`; each projection adds to the weight of the
    task projected against. Heads get their own gradients.

    The random order is drawn afresh for each task from (seed, number of the batch), so every rank has the same and a
    resumed run goes on with it.

    Args:
        tasks: the names of all heads.
        seed: decides the random order.
        options: see `GradientWeighting`.
    """

    def __init__(self, *, seed: Annotated[int, Ge(0)] = 0, **options: Unpack[GradientOptions]) -> None:
        super().__init__(**options)
        self.seed = seed

    def weights(self, gramian: Tensor, values: Tensor, tasks: Sequence[str]) -> Tensor:
        return pcgrad_weights(gramian, orders(len(tasks), generator(self.seed, self.calls)))
