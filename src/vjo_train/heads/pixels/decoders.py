"""From the pyramid to maps of the pixels: levels added up, or atrous spatial pyramid pooling on one level."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from vjo_train.backbones.frozen_norm import FrozenNorm
from vjo_train.errors import ConfigError
from vjo_train.group_norm import group_norm
from vjo_train.heads.base import check_levels
from vjo_train.heads.detection.dense import common_channels, stride, tower
from vjo_train.heads.pixels.base import upsample
from vjo_train.types import Features


class PyramidSum(nn.Module):
    """The semantic branch of Panoptic FPN (Kirillov, Girshick, He, Dollar 2019).

    Each level is brought to the finest one's grid by as many steps of 3x3 convolution, group norm, ReLU and twofold
    upsampling as it takes (the finest: one step without upsampling); their sum gives the maps by a 1x1 convolution.

    Args:
        key: of the head, for messages.
        channels: of every level of the pyramid.
        strides: of every level, pixels of the canvas per cell; None: as usual (`c5`, `p5`: 32).
        levels: the features it reads; maps have the stride of the finest.
        width: channels of the branch.
        outputs: K maps.

    Raises:
        ConfigError: levels that are not there or differ in channels.
    """

    def __init__(
        self,
        key: str,
        channels: Mapping[str, int],
        strides: Mapping[str, int] | None,
        levels: Sequence[str],
        width: int,
        outputs: int,
    ) -> None:
        super().__init__()
        inputs = common_channels(f"{key}.levels", levels, channels)
        steps = [stride(level, strides) for level in levels]
        self.levels, self.stride = tuple(levels), min(steps)
        self.branches = pyramid_branches(inputs, width, steps)
        self.maps = nn.Conv2d(width, outputs, 1)

    def forward(self, features: Features) -> Tensor:
        """The pyramid -> [B, K, h, w]."""
        maps: Tensor = self.maps(added_up(features, self.levels, self.branches))
        return maps


class Atrous(nn.Module):
    """Atrous spatial pyramid pooling (Chen, Papandreou, Schroff, Adam 2017) on one level, and a 3x3 convolution.

    Args:
        key: of the head, for messages.
        channels: of every level of the pyramid.
        strides: of every level, pixels of the canvas per cell; None: as usual (`c5`, `p5`: 32).
        levels: the one feature it reads; maps have its stride.
        width: channels of the branches.
        outputs: K maps.
        rates: dilations of the 3x3 convolutions, in cells.
        dropout: share of the joined channels that is dropped in training.

    Raises:
        ConfigError: there is not one level, or the pyramid has no such one.
    """

    def __init__(
        self,
        key: str,
        channels: Mapping[str, int],
        strides: Mapping[str, int] | None,
        levels: Sequence[str],
        width: int,
        outputs: int,
        *,
        rates: Sequence[int],
        dropout: float,
    ) -> None:
        super().__init__()
        check_levels(f"{key}.levels", levels, channels)
        if len(levels) != 1:
            raise ConfigError(f"{key}.levels: found {', '.join(levels)}; with {key}.rates it must be one level.")
        self.levels, self.stride = tuple(levels), stride(levels[0], strides)
        self.branches, self.pooled, self.join, self.last = atrous_layers(channels[levels[0]], width, rates, dropout)
        self.maps = nn.Conv2d(width, outputs, 1)

    def forward(self, features: Features) -> Tensor:
        """The pyramid -> [B, K, h, w]."""
        maps: Tensor = self.maps(self.last(self.join(atrous(features[self.levels[0]], self.branches, self.pooled))))
        return maps


def decoder(
    key: str,
    channels: Mapping[str, int],
    strides: Mapping[str, int] | None,
    levels: Sequence[str],
    width: int,
    outputs: int,
    *,
    rates: Sequence[int] | None,
    dropout: float,
) -> PyramidSum | Atrous:
    """`Atrous` where `rates` are given, else `PyramidSum`."""
    if rates is None:
        return PyramidSum(key, channels, strides, levels, width, outputs)
    return Atrous(key, channels, strides, levels, width, outputs, rates=rates, dropout=dropout)


def pyramid_branches(inputs: int, width: int, strides: Sequence[int]) -> nn.ModuleList:
    """A branch for a level of each of `strides`, up to the least of them."""
    return nn.ModuleList(_branch(inputs, width, size // min(strides)) for size in strides)


def added_up(features: Features, levels: Sequence[str], branches: Iterable[nn.Module]) -> Tensor:
    """The sum of what the branches make of their levels, on the finest one's grid."""
    height, width = max(features[level].shape[2:] for level in levels)
    # A level's last cells may reach beyond the finest one's: these are cut, so that all grids begin together.
    maps = [branch(features[level])[..., :height, :width] for level, branch in zip(levels, branches, strict=True)]
    return torch.stack(maps).sum(0)


NORMS: dict[str, Callable[[int], nn.Module]] = {"group": group_norm, "batch": nn.BatchNorm2d, "frozen": FrozenNorm}
"""Layers of a decoder by name; the last two are those of networks that others have trained."""


def atrous_layers(
    inputs: int, width: int, rates: Sequence[int], dropout: float, norm: str = "group"
) -> tuple[nn.ModuleList, nn.Sequential, nn.Sequential, nn.Sequential]:
    """The parallel branches, the one that is pooled over the canvas, what joins them, and the last convolution."""
    block = partial(_block, norm=NORMS[norm])
    branches = nn.ModuleList([block(inputs, width, 1, 1), *(block(inputs, width, 3, rate) for rate in rates)])
    pooled = block(inputs, width, 1, 1)
    join = nn.Sequential(block(width * (len(rates) + 2), width, 1, 1), nn.Dropout2d(dropout))
    return branches, pooled, join, block(width, width, 3, 1)


def atrous(feature: Tensor, branches: Iterable[nn.Module], pooled: nn.Module) -> Tensor:
    """[B, C, h, w] -> what all branches make of it, side by side."""
    whole = pooled(feature.mean((2, 3), keepdim=True)).expand(-1, -1, *feature.shape[2:])
    return torch.cat([*(branch(feature) for branch in branches), whole], dim=1)


def _branch(inputs: int, width: int, factor: int) -> nn.Sequential:
    """[B, inputs, h, w] -> [B, width, factor * h, factor * w], for a factor that is a power of two."""
    if factor == 1:
        return tower(inputs, width, 1)
    steps: list[nn.Module] = []
    while factor > 1:
        steps += [tower(width if steps else inputs, width, 1), _Double()]
        factor //= 2
    return nn.Sequential(*steps)


class _Double(nn.Module):
    def forward(self, maps: Tensor) -> Tensor:
        return upsample(maps, 2)


def _block(inputs: int, width: int, kernel: int, dilation: int, norm: Callable[[int], nn.Module]) -> nn.Sequential:
    """A convolution that keeps the size, a norm and ReLU."""
    padding = dilation * (kernel // 2)
    convolution = nn.Conv2d(inputs, width, kernel, padding=padding, dilation=dilation, bias=False)
    return nn.Sequential(convolution, norm(width), nn.ReLU(inplace=True))
