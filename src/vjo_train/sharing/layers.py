"""The layers that ways of sharing put between the shared network and the heads."""

from __future__ import annotations

from typing import Literal

from torch import nn

from vjo_train.group_norm import group_norm


def block(inputs: int, outputs: int, size: int, norm: Literal["batch", "group"] = "group") -> nn.Sequential:
    """A convolution of `size` x `size` cells that keeps the resolution, norm, ReLU."""
    convolution = nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False)
    return nn.Sequential(convolution, normalised(outputs, norm), nn.ReLU(inplace=True))


def coarser(inputs: int, outputs: int, step: int) -> nn.Sequential:
    """[B, inputs, h, w] -> [B, outputs, h / step, w / step], rounded up, with few parameters.

    A depthwise 3x3 convolution of stride `step`, a 1x1 convolution, group norm, ReLU.
    """
    depthwise = nn.Conv2d(inputs, inputs, 3, stride=step, padding=1, groups=inputs, bias=False)
    return nn.Sequential(depthwise, *block(inputs, outputs, 1))


def normalised(width: int, norm: Literal["batch", "group"]) -> nn.Module:
    """Batch norm, or group norm of up to 32 groups of at least 8 channels."""
    return nn.BatchNorm2d(width) if norm == "batch" else group_norm(width)
