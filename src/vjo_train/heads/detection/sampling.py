"""A random choice of positives and negatives."""

from __future__ import annotations

import torch
from torch import Tensor


def sample(positive: Tensor, negative: Tensor, size: int, fraction: float) -> Tensor:
    """Chooses at most `size` places of each image, at most `fraction` of them positive; negatives fill the rest.

    Draws from torch's global generator of the device, which training seeds before each batch.

    Args:
        positive: [B, R] bool.
        negative: [B, R] bool.
        size: places per image.
        fraction: in 0..1.

    Returns:
        [B, R] bool.
    """
    draws = torch.rand(positive.shape, device=positive.device)
    most = positive.new_full((len(positive), 1), int(size * fraction), dtype=torch.int64)
    chosen = _lowest(draws, positive, size, most)
    return chosen | _lowest(draws, negative, size, size - chosen.sum(1, keepdim=True))


def _lowest(draws: Tensor, allowed: Tensor, size: int, most: Tensor) -> Tensor:
    """Of the `allowed` places of each image, the `most` [B, 1] <= size with the lowest draws."""
    lowest = draws.masked_fill(~allowed, 2.0).topk(min(size, draws.shape[1]), largest=False).indices
    taken = torch.arange(lowest.shape[1], device=draws.device) < most
    return torch.zeros_like(allowed).scatter(1, lowest, taken) & allowed
