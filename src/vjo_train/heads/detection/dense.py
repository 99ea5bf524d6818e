"""What one-stage detectors share: two towers over all levels, and sums per image."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from vjo_train.errors import ConfigError
from vjo_train.group_norm import group_norm
from vjo_train.heads.base import check_levels
from vjo_train.types import usual_stride

PRIOR = 0.01
"""The probability of an object that an untrained detector gives (Lin et al. 2017b)."""


def stride(level: str, strides: Mapping[str, int] | None) -> int:
    """Pixels of the canvas per cell of a level: as `strides` has it, else as usual (`p3` -> 8)."""
    return (strides or {}).get(level, usual_stride(level))


def common_channels(key: str, levels: Sequence[str], channels: Mapping[str, int]) -> int:
    """The number of channels that all of `levels` have.

    Raises:
        ConfigError: a level that is not there, is named twice, or has other channels than the first.
    """
    check_levels(key, levels, channels)
    found = {level: channels[level] for level in levels}
    if len(set(found.values())) > 1:
        raise ConfigError(f"{key}: found levels of different channels, {found}; allowed are levels of the neck")
    return channels[levels[0]]


def tower(inputs: int, width: int, depth: int, norm: Literal["group", "none"] = "group") -> nn.Sequential:
    """`depth` times 3x3 convolution, group norm if wanted, and ReLU: [B, inputs, h, w] -> [B, width, h, w]."""
    layers: list[nn.Module] = []
    for step in range(depth):
        layers.append(convolution(inputs if step == 0 else width, width))
        if norm == "group":
            layers.append(group_norm(width))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def convolution(inputs: int, outputs: int, bias: float = 0.0) -> nn.Conv2d:
    """A 3x3 convolution with small random weights."""
    layer = nn.Conv2d(inputs, outputs, 3, padding=1)
    nn.init.normal_(layer.weight, std=0.01)
    assert layer.bias is not None
    nn.init.constant_(layer.bias, bias)
    return layer


def prior_bias(probability: float = PRIOR) -> float:
    """The logit of `probability`: a start from which the many background cells do not swamp the loss."""
    return math.log(probability / (1 - probability))


def rows(maps: Tensor, columns: int) -> Tensor:
    """[B, A * columns, h, w] -> [B, h * w * A, columns]: cells row by row, the A anchors of a cell together."""
    batch, _, height, width = maps.shape
    return maps.permute(0, 2, 3, 1).reshape(batch, height * width * (maps.shape[1] // columns), columns)


def sum_per_image(values: Tensor, where: Tensor) -> Tensor:
    """Sums the values [M] of the M true places of `where` [B, R] -> [B]; the order of addition is fixed."""
    return torch.zeros(where.shape, dtype=values.dtype, device=values.device).masked_scatter(where, values).sum(1)
