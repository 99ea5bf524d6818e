"""From the backbone's pyramid to one of equal channels."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Annotated, Literal

import torch.nn.functional as F
from annotated_types import Ge
from torch import Tensor, nn
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelP6P7

from vjo_train.errors import ConfigError
from vjo_train.types import Features, usual_stride


class FPN(nn.Module):
    """Feature Pyramid Network (Lin et al. 2017) with `p6` and `p7`: Lin et al. 2017b, or without weights.

    Args:
        in_channels: of the backbone's `c2`..`c5`.
        channels: of every output level.
        coarse: how `p6` and `p7` come from `p5`; `subsampled` takes every second cell (Lin et al. 2017), which has no
            weights.
        finest: the level of the smallest stride; `p2` (stride 4) costs about four times `p3`, and serves masks.
    """

    def __init__(
        self,
        *,
        in_channels: Mapping[str, int],
        channels: Annotated[int, Ge(8)] = 256,
        finest: Literal["p2", "p3"] = "p3",
        coarse: Literal["convolutions", "subsampled"] = "convolutions",
    ) -> None:
        super().__init__()
        self._inputs = [level for level in sorted(in_channels) if level[1:] >= finest[1:]]
        self.fpn = FeaturePyramidNetwork(
            [in_channels[level] for level in self._inputs],
            channels,
            extra_blocks=LastLevelP6P7(channels, channels) if coarse == "convolutions" else None,
        )
        self.channels = {f"p{level[1:]}": channels for level in [*self._inputs, "c6", "c7"]}

    def inputs(self, read: Collection[str]) -> list[str]:
        """The levels of the backbone that those of `read` are made of; none where it names no level of the neck."""
        wanted = [level for level in self.channels if level in read]
        finest = min(["c5", *(f"c{level[1:]}" for level in wanted)])
        return [level for level in self._inputs if level >= finest] if wanted else []

    def forward(self, pyramid: Features, read: Collection[str] | None = None) -> Features:
        """`c2`..`c5` -> those of `p2` or `p3` .. `p7` that are in `read`, all by default.

        Each is [B, channels, h, w] at stride 2 ** level. Nothing is computed that none of them needs.
        """
        wanted = [level for level in self.channels if read is None or level in read]
        if not wanted:
            return {}
        coarse = {"p6", "p7"} & {*wanted}
        sums = self.fpn.get_result_from_inner_blocks(pyramid["c5"], -1)
        found: Features = {}
        for place in range(len(self._inputs) - 1, -1, -1):
            level = f"p{self._inputs[place][1:]}"
            if level != "p5":
                own = self.fpn.get_result_from_inner_blocks(pyramid[self._inputs[place]], place)
                sums = own + F.interpolate(sums, size=own.shape[-2:], mode="nearest")
            if level in wanted or (level == "p5" and coarse):
                found[level] = self.fpn.get_result_from_layer_blocks(sums, place)
            if level == min(wanted):
                break
        layers = self.fpn.extra_blocks
        if coarse:
            found["p6"] = found["p5"][..., ::2, ::2] if layers is None else _halved(found["p5"], layers.p6)
        if "p7" in coarse:
            found["p7"] = found["p6"][..., ::2, ::2] if layers is None else _halved(F.relu(found["p6"]), layers.p7)
        return {level: found[level] for level in wanted}


def _halved(feature: Tensor, layer: nn.Conv2d) -> Tensor:
    """The output of a 3x3 convolution of stride 2.

    On one cell the stride makes no difference, but with it torch 2.14's bfloat16 gradient of the weight on a CPU holds
    memory that nobody has written.
    """
    stride = 1 if feature.shape[2:] == (1, 1) else layer.stride
    return F.conv2d(feature, layer.weight, layer.bias, stride, layer.padding)


def renumbered(names: Iterable[str], blocks: int) -> dict[str, str]:
    """The names that the weights of pyramids have in one of `blocks` levels above `p5` and with it.

    A pyramid counts its blocks from its finest level on, so that the same level has another number in another one.

    Returns:
        Name -> name there; the same for what is no pyramid's, and none for levels that it does not have.
    """
    parts = {name: _BLOCK.match(name) for name in names}
    counts: dict[str, int] = {}
    for block in filter(None, parts.values()):
        counts[block[1]] = max(counts.get(block[1], 0), int(block[3]) + 1)
    found = {}
    for name, match in parts.items():
        place = 0 if match is None else int(match[3]) + blocks - counts[match[1]]
        if place >= 0:
            found[name] = name if match is None else f"{match[1]}{match[2]}.{place}.{match[4]}"
    return found


_BLOCK = re.compile(r"^(.*\bfpn\.)(inner_blocks|layer_blocks)\.(\d+)\.(.*)$")
"""The name of a weight of a pyramid's block: before, kind of block, number, the rest."""


def check_neck(strides: Mapping[str, int], levels: Mapping[str, Sequence[str]]) -> None:
    """The neck adds up levels whose strides double.

    Args:
        strides: level of the backbone -> pixels of the canvas per cell.
        levels: task -> those that its head reads, of backbone or neck.

    Raises:
        ConfigError: a head reads the neck of a backbone whose strides do not double.
    """
    if all(stride == usual_stride(level) for level, stride in strides.items()):
        return
    for task, names in levels.items():
        for level in names:
            if level not in strides:
                raise ConfigError(
                    f"heads.{task}: reads {level} of the neck, whose levels need a backbone of strides 4, 8, 16, 32; a"
                    f" dilated one has {', '.join(map(str, strides.values()))}. Let the head read the backbone, such as"
                    " c5, or use backbone.output_stride=32."
                )
