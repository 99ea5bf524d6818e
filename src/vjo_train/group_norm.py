"""Group norm, which looks at no other image of the batch (Wu, He 2018)."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn


class GroupNorm(nn.GroupNorm):
    """Computes in float32, as autocast has it on a GPU; the result is of its input's type.

    On a CPU, torch's takes several times as long in bfloat16.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Features [B, C, ...] -> the same shape and type."""
        return F.group_norm(input.float(), self.num_groups, self.weight, self.bias, self.eps).to(input.dtype)


def group_norm(width: int) -> GroupNorm:
    """For `width` channels: 32 groups, or fewer where they would have less than 8 channels."""
    groups = math.gcd(32, width)
    while groups > 1 and width // groups < 8:
        groups //= 2
    return GroupNorm(groups, width)
