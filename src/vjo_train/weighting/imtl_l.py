"""IMTL-L (Liu et al. 2021, "Towards Impartial Multi-task Learning")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import torch
from torch import Tensor, nn

from vjo_train.weighting.base import LossWeighting, Options
from vjo_train.weighting.uncertainty import add_slopes


class IMTLL(LossWeighting):
    """Learned scales s_k, which minimise sum_k exp(s_k) L_k - s_k: all scaled losses are drawn to 1.

    With s_k = -log variance this is `uncertainty` whose variances learn twice as fast. A task that is absent leaves its
    s_k alone. The scales are learned by the run's optimizer, without weight decay.

    Scale: the weights are exp(s_k); they start at 1 and do not sum to K, which is the paper's point. Heads are weighted
    like the shared parameters.

    Args:
        tasks: the names of all heads.
        options: see `Weighting`.
    """

    def __init__(self, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        self.log_scales = nn.ParameterList([nn.Parameter(torch.zeros(())) for _ in self.tasks])

    def weights(self, values: Tensor, tasks: Sequence[str], epoch: int) -> Tensor:
        return torch.tensor([float(self.log_scales[i].detach()) for i in self.index(tasks)], dtype=torch.float64).exp()

    def learn(self, values: Tensor, tasks: Sequence[str], factor: float) -> None:
        weights = self.weights(values, tasks, 0)
        add_slopes([self.log_scales[i] for i in self.index(tasks)], factor * (weights * values - 1))
