"""All tasks weigh 1."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vjo_train.weighting.base import LossWeighting


class EqualWeighting(LossWeighting):
    """The plain sum of the task losses: L = sum_k L_k.

    Scale: the weights sum to the number of present tasks. Heads are weighted like the shared parameters.
    """

    def weights(self, values: Tensor, tasks: Sequence[str], epoch: int) -> Tensor:
        return torch.ones_like(values)
