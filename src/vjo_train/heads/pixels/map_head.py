"""A head of pixels with layers of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

from annotated_types import Ge, Interval, Len
from torch import Tensor

from vjo_train.heads.pixels.base import PixelHead
from vjo_train.heads.pixels.decoders import decoder
from vjo_train.types import Features


class MapHead(PixelHead):
    """`outputs` maps of the levels added up, or of one level by atrous spatial pyramid pooling.

    Args:
        channels: of every level of the pyramid.
        strides: of every level, pixels of the canvas per cell; None: as usual (`c5`, `p5`: 32).
        levels: the features it reads; maps have the stride of the finest.
        width: channels of the branch.
        rates: dilations of atrous spatial pyramid pooling on one level; None: levels are added up.
        dropout: share of the channels behind the pooling that is dropped in training.

    Raises:
        ConfigError: levels that are not there, differ in channels, or are several with `rates`.

    Attributes:
        outputs: K, the number of maps.
    """

    outputs: ClassVar[int] = 1

    def __init__(
        self,
        *,
        channels: Mapping[str, int],
        strides: Mapping[str, int] | None = None,
        levels: Sequence[str] = ("p3", "p4", "p5"),
        width: Annotated[int, Ge(8)] = 128,
        rates: Annotated[Sequence[Annotated[int, Ge(1)]], Len(1)] | None = None,
        dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.1,
    ) -> None:
        key = f"heads.{self.label}"
        layers = decoder(key, channels, strides, levels, width, self.outputs, rates=rates, dropout=dropout)
        super().__init__(layers.stride)
        self.levels, self.decoder = layers.levels, layers

    def forward(self, features: Features) -> Tensor:
        """The pyramid -> maps [B, K, h, w] at `stride`."""
        maps: Tensor = self.decoder(features)
        return maps
