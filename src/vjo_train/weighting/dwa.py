"""Dynamic weight averaging (Liu, Johns & Davison 2019, "End-to-End Multi-Task Learning with Attention")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Unpack

import torch
from annotated_types import Gt
from torch import Tensor

from vjo_train.weighting.base import LossWeighting, Options


def dwa_weights(last: Tensor, before: Tensor, temperature: float) -> Tensor:
    """Mean losses [K] >= 0 of the last epoch and of the one before -> weights [K] = K softmax(last / before / T).

    A mean of 0 is taken as 1e-30, so that a solved task gives no NaN.
    """
    return last.numel() * torch.softmax(last / before.clamp(min=1e-30) / temperature, dim=0)


class DWA(LossWeighting):
    """Tasks whose loss falls slowly weigh more: w_k = K softmax(r_k / T), r_k = L_k(t-1) / L_k(t-2).

    L_k(t) is the MEAN of the task's loss over the batches of epoch t in which it was present, not a single batch's.
    The history counts epochs per task: a task that was absent for a whole epoch keeps its two last means, and
    r_k = 1 until it has two, so all weights are 1 in the first two epochs. The softmax is over all K tasks, so a
    task's weight does not depend on which others are in the batch.

    Scale: the weights of all K tasks sum to K. Heads are weighted like the shared parameters.

    Args:
        tasks: the names of all heads.
        temperature: T; the larger, the more equal.
        options: see `Weighting`.
    """

    epoch: Tensor
    total: Tensor
    count: Tensor
    history: Tensor
    seen: Tensor

    def __init__(self, *, temperature: Annotated[float, Gt(0)] = 2.0, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        self.temperature = temperature
        k = len(self.tasks)
        self.register_buffer("epoch", torch.tensor(0))
        self.register_buffer("total", torch.zeros(k, dtype=torch.float64))  # of this epoch's losses
        self.register_buffer("count", torch.zeros(k, dtype=torch.int64))  # of this epoch's batches
        self.register_buffer("history", torch.ones(2, k, dtype=torch.float64))  # means: before, last
        self.register_buffer("seen", torch.zeros(k, dtype=torch.int64))  # epochs with this task

    def weights(self, values: Tensor, tasks: Sequence[str], epoch: int) -> Tensor:
        if epoch != int(self.epoch):
            self._close_epoch(epoch)
        places = self.index(tasks)
        self.total[places] += values.to(self.total)
        self.count[places] += 1
        known = self.seen >= 2
        before, last = (torch.where(known, mean, torch.ones_like(mean)) for mean in self.history)
        return dwa_weights(last, before, self.temperature)[places]

    def _close_epoch(self, epoch: int) -> None:
        present = self.count > 0
        mean = self.total / self.count.clamp(min=1)
        self.history.copy_(torch.where(present, torch.stack([self.history[1], mean]), self.history))
        self.seen += present
        self.total.zero_()
        self.count.zero_()
        self.epoch.fill_(epoch)
