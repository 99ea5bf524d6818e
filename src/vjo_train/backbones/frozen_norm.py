"""BatchNorm whose statistics and affine weights stay as they were loaded."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class FrozenNorm(nn.Module):
    """torchvision's `FrozenBatchNorm2d` in one pass over the features, in their own type, with the same state dict.

    That one multiplies and adds float32 vectors, so that under bfloat16 or float16 autocast every feature behind it
    becomes float32, and is converted back by the next convolution.

    Args:
        channels: of the features.
        eps: added to the variance.
    """

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        for name, value in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
            self.register_buffer(name, torch.full((channels,), value))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        state_dict.pop(f"{prefix}num_batches_tracked", None)  # of a BatchNorm
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def extra_repr(self) -> str:
        """Channels and `eps`."""
        return f"{len(self.weight)}, eps={self.eps}"

    def forward(self, x: Tensor) -> Tensor:
        """Features [B, C, H, W] -> the same shape and type."""
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        shift = self.bias - self.running_mean * scale
        return torch.addcmul(_as_channels(shift, x), x, _as_channels(scale, x))


def _as_channels(values: Tensor, x: Tensor) -> Tensor:
    return values.to(x.dtype)[:, None, None]
