"""Clipping of gradients part by part, so that a large gradient of one task shortens no other head's step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn


def gradient_norms(parts: Mapping[str, Sequence[nn.Parameter]]) -> dict[str, Tensor]:
    """Part -> the 2-norm of its gradient, a float32 scalar; parts without a gradient are left out."""
    gradients = {name: [p.grad for p in parameters if p.grad is not None] for name, parameters in parts.items()}
    return {name: torch.nn.utils.get_total_norm(own) for name, own in gradients.items() if own}


def clip_gradients(parts: Mapping[str, Sequence[nn.Parameter]], norms: Mapping[str, Tensor], limit: float) -> None:
    """Shortens the gradient of each part of `norms` to at most `limit`, in place; its direction stays."""
    for name, norm in norms.items():
        torch.nn.utils.clip_grads_with_norm_(parts[name], limit, norm)
