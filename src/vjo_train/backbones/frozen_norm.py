"""BatchNorm whose statistics and affine weights stay as they were loaded."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import FrozenBatchNorm2d


class FrozenNorm(FrozenBatchNorm2d):  # type: ignore[misc]  # torchvision has no types
    """`FrozenBatchNorm2d` in one pass over the features, in their own type, with the same state dict.

    torchvision's multiplies and adds float32 vectors, so that under bfloat16 or float16 autocast every feature behind
    it becomes float32, and is converted back by the next convolution.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Features [B, C, H, W] -> the same shape and type."""
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        shift = self.bias - self.running_mean * scale
        return torch.addcmul(_as_channels(shift, x), x, _as_channels(scale, x))


def _as_channels(values: Tensor, x: Tensor) -> Tensor:
    return values.to(x.dtype)[:, None, None]
