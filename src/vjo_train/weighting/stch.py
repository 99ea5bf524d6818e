"""Smooth Tchebycheff scalarization (Lin et al. 2024, "Smooth Tchebycheff Scalarization for Multi-Objective ...")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Unpack

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from vjo_train.weighting.base import LossWeighting, Options


def stch_weights(values: Tensor, nadir: Tensor, mu: float) -> Tensor:
    """Losses [K] and their nadir [K], both > 0 -> weights [K] ~ softmax(log(L / nadir) / mu) / L, summing to K.

    They are the gradient of mu log sum_k exp(log(L_k / nadir_k) / mu), a smooth maximum.
    """
    logs = values.clamp(min=1e-12).log()
    shares = (logs - nadir.clamp(min=1e-12).log()) / mu
    return len(values) * (shares.log_softmax(0) - logs).softmax(0)


class STCH(LossWeighting):
    """Minimises the smooth maximum of log L_k / nadir_k, the nadir being the mean loss of the warm-up epochs.

    In the warm-up, and for a task not seen in it, the weight is that of log L_k alone: the objective is sum_k log L_k.

    Scale: the weights are put to sum to K, before and after the warm-up; those of the authors' code are not. Heads are
    weighted like the shared parameters.

    Args:
        tasks: the names of all heads.
        mu: smoothness; near 0 only the worst task counts.
        warmup_epochs: epochs whose mean losses make the nadir.
        options: see `Weighting`.
    """

    total: Tensor
    count: Tensor

    def __init__(
        self,
        *,
        mu: Annotated[float, Gt(0)] = 1.0,
        warmup_epochs: Annotated[int, Ge(1)] = 4,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(**options)
        self.mu, self.warmup_epochs = mu, warmup_epochs
        self.register_buffer("total", torch.zeros(len(self.tasks), dtype=torch.float64))
        self.register_buffer("count", torch.zeros(len(self.tasks), dtype=torch.int64))

    def weights(self, values: Tensor, tasks: Sequence[str], epoch: int) -> Tensor:
        places = self.index(tasks)
        if epoch < self.warmup_epochs:
            self.total[places] += values
            self.count[places] += 1
            return stch_weights(values, values, self.mu)
        mean = self.total[places] / self.count[places]
        return stch_weights(values, torch.where(self.count[places] > 0, mean, values), self.mu)
