"""Tasks whose loss is small weigh more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from annotated_types import Gt
from torch import Tensor

from vjo_train.weighting.base import LossWeighting


class Softmin(LossWeighting):
    """K times the softmin of the losses; the weights sum to K."""

    def __init__(self, *, tasks: Sequence[str], strength: Annotated[float, Gt(0)] = 1.0) -> None:
        super().__init__(tasks=tasks)
        self.strength = strength

    def weights(self, values: Tensor, tasks: Sequence[str], epoch: int) -> Tensor:
        return len(tasks) * torch.softmax(-self.strength * values, dim=0)
