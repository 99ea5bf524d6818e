"""Random loss weighting (Lin et al. 2022, "Reasonable Effectiveness of Random Weighting")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Unpack

import torch
from annotated_types import Ge
from torch import Tensor

from vjo_train.weighting.base import LossWeighting, Options
from vjo_train.weighting.random_order import generator


class RLW(LossWeighting):
    """Weights K softmax(z), z standard normal, drawn afresh at each batch from (seed, number of the batch).

    Scale: the weights of the present tasks sum to their number (the paper's sum to 1). Heads are weighted like the
    shared parameters.

    Args:
        tasks: the names of all heads.
        seed: decides the weights.
        options: see `Weighting`.
    """

    def __init__(self, *, seed: Annotated[int, Ge(0)] = 0, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        self.seed = seed

    def weights(self, values: Tensor, tasks: Sequence[str], epoch: int) -> Tensor:
        source = generator(self.seed, self.calls)
        return len(tasks) * torch.randn(len(tasks), generator=source, dtype=torch.float64).softmax(0)
