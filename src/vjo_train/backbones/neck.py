"""From the backbone's pyramid to one of equal channels."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Annotated, Literal

import torch.nn.functional as F
from annotated_types import Ge
from torch import Tensor, nn
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelP6P7

from vjo_train.types import Features


class FPN(nn.Module):
    """Feature Pyramid Network (Lin et al. 2017) with `p6` and `p7` by strided convolutions (Lin et al. 2017b).

    Args:
        in_channels: of the backbone's `c2`..`c5`.
        channels: of every output level.
        finest: the level of the smallest stride; `p2` (stride 4) costs about four times `p3`, and serves masks.
    """

    def __init__(
        self,
        *,
        in_channels: Mapping[str, int],
        channels: Annotated[int, Ge(8)] = 256,
        finest: Literal["p2", "p3"] = "p3",
    ) -> None:
        super().__init__()
        self._inputs = [level for level in sorted(in_channels) if level[1:] >= finest[1:]]
        self.fpn = FeaturePyramidNetwork(
            [in_channels[level] for level in self._inputs], channels, extra_blocks=_P6P7(channels, channels)
        )
        self.channels = {f"p{level[1:]}": channels for level in [*self._inputs, "c6", "c7"]}

    def forward(self, pyramid: Features) -> Features:
        """`c2`..`c5` -> `p2` or `p3` .. `p7`, each [B, channels, h, w] at stride 2 ** level."""
        outputs = self.fpn(OrderedDict((level, pyramid[level]) for level in self._inputs))
        return {f"p{level[1:]}": feature for level, feature in outputs.items()}


class _P6P7(LastLevelP6P7):  # type: ignore[misc]
    def forward(self, p: list[Tensor], c: list[Tensor], names: list[str]) -> tuple[list[Tensor], list[str]]:
        p6 = _halved(p[-1], self.p6)
        return [*p, p6, _halved(F.relu(p6), self.p7)], [*names, "p6", "p7"]


def _halved(feature: Tensor, layer: nn.Conv2d) -> Tensor:
    """The output of a 3x3 convolution of stride 2.

    On one cell the stride makes no difference, but with it torch 2.14's bfloat16 gradient of the weight on a CPU holds
    memory that nobody has written.
    """
    stride = 1 if feature.shape[2:] == (1, 1) else layer.stride
    return F.conv2d(feature, layer.weight, layer.bias, stride, layer.padding)
