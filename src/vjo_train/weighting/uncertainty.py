"""Homoscedastic uncertainty (Kendall, Gal & Cipolla 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import torch
from torch import Tensor, nn

from vjo_train.weighting.base import LossWeighting, Options


class Uncertainty(LossWeighting):
    """Learned log variances s_k, which minimise sum_k exp(-s_k) L_k / 2 + s_k / 2.

    A task that is absent leaves its s_k alone. The variances are learned by the run's optimizer, without weight decay.

    Scale: the weights are exp(-s_k), twice the paper's, so that they start at 1; they do not sum to K, which is the
    paper's point. Heads are weighted like the shared parameters.

    Args:
        tasks: the names of all heads.
        options: see `Weighting`.
    """

    def __init__(self, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        self.log_variances = nn.ParameterList([nn.Parameter(torch.zeros(())) for _ in self.tasks])

    def weights(self, values: Tensor, tasks: Sequence[str], epoch: int) -> Tensor:
        return torch.tensor(
            [float(-self.log_variances[i].detach()) for i in self.index(tasks)], dtype=torch.float64
        ).exp()

    def learn(self, values: Tensor, tasks: Sequence[str], factor: float) -> None:
        weights = self.weights(values, tasks, 0)
        add_slopes([self.log_variances[i] for i in self.index(tasks)], factor * (1 - weights * values) / 2)


def add_slopes(scalars: Sequence[Tensor], slopes: Tensor) -> None:
    """Adds to `.grad` of k scalar parameters their derivatives [k]."""
    for scalar, slope in zip(scalars, slopes.tolist(), strict=True):
        old = torch.zeros_like(scalar) if scalar.grad is None else scalar.grad
        scalar.grad = old + slope
