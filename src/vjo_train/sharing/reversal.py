"""Gradient reversal with a ramped strength (Ganin et al. 2016, "Domain-Adversarial Training of Neural Networks")."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor


def reverse_gradient(values: Tensor, strength: float) -> Tensor:
    """`values` as they are; their gradient comes back times -`strength`."""
    reversed_: Tensor = _Reversal.apply(values, strength)
    return reversed_


def dann_ramp(progress: float, steepness: float) -> float:
    """2 / (1 + exp(-steepness p)) - 1: from 0 to nearly 1 as the share p of training done goes from 0 to 1."""
    return 2 / (1 + math.exp(-steepness * progress)) - 1


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradient, None
