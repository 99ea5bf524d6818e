"""Which colours does a grey picture have?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge
from torch import Tensor, nn

from vjo_train.heads.pixels.base import upsample
from vjo_train.heads.pixels.decoders import PyramidSum
from vjo_train.heads.self_supervised.base import SelfSupervised
from vjo_train.heads.self_supervised.metrics import ErrorMetrics
from vjo_train.types import Batch, Features, Target

GREY = 2 / 255
"""The root mean square of the colour differences up to which a picture counts as grey."""
LUMA = (0.299, 0.587, 0.114)
"""What red, green and blue add to the brightness (ITU-R BT.601)."""
DIFFERENCES = (0.564, 0.713)
"""On blue and red minus brightness, so that each colour difference is between -0.5 and 0.5 (BT.601)."""


class Colour(SelfSupervised):
    """The colours of a picture are predicted from its brightness (Zhang, Isola, Efros 2016; Larsson et al. 2016).

    Per pixel, its two colour differences (blue and red minus brightness), relative to their root mean square in the
    picture, by squared error on maps at the stride of the finest level. Who knows what a thing is knows its colour;
    where colours say nothing of things, nothing is learned.

    Scale: who predicts grey gets 1, so about 1 at the start.

    Args:
        channels: of every level of the pyramid.
        strides: of every level, pixels of the canvas per cell; None: as usual (`c5`, `p5`: 32).
        levels: the features it reads; maps have the stride of the finest.
        width: channels of the decoder.
        images: grey pictures in each training step, over all ranks; None: as many as a batch holds. One that has no
            colours is left out.

    Raises:
        ConfigError: levels that are not there or differ in channels.
    """

    label: ClassVar[str] = "colour"
    needs: ClassVar[frozenset[str]] = frozenset({label})
    monitor: ClassVar[str] = "r2"

    def __init__(
        self,
        *,
        channels: Mapping[str, int],
        strides: Mapping[str, int] | None = None,
        levels: Sequence[str] = ("p3", "p4", "p5"),
        width: Annotated[int, Ge(8)] = 128,
        images: Annotated[int, Ge(1)] | None = None,
    ) -> None:
        super().__init__(images)
        self.decoder = PyramidSum("heads.colour", channels, strides, levels, width, 2)
        nn.init.normal_(self.decoder.maps.weight, std=0.01)  # it starts near grey
        self.decoder.maps.bias = nn.Parameter(torch.zeros(2))
        self.levels = self.decoder.levels

    def altered(self, picture: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """The grey picture, and its colour differences [2, h, w], of which the mean square is 1."""
        values = picture.float()
        luma = (values * values.new_tensor(LUMA)[:, None, None]).sum(0)
        grey = luma.round().to(torch.uint8).expand_as(picture)
        differences = (values[[2, 0]] - luma) / 255 * values.new_tensor(DIFFERENCES)[:, None, None]
        size = differences.square().mean().sqrt()
        return grey, differences / size if size > GREY else None

    def forward(self, features: Features) -> Tensor:
        """The pyramid -> maps [B, 2, h, w]."""
        maps: Tensor = self.decoder(features)
        return maps

    def loss(self, outputs: Tensor, targets: list[Target]) -> Tensor:
        losses = outputs.new_zeros(len(targets), dtype=torch.float32)
        places = [k for k, target in enumerate(targets) if self.labelled(target)]
        if not places:
            return losses
        own = torch.stack([self._error(outputs[k], targets[k]) for k in places])
        return losses.index_copy(0, torch.tensor(places, device=outputs.device), own)

    def decode(self, outputs: Tensor, batch: Batch) -> list[Tensor | None]:
        """[2] for each picture: its mean squared error, and that of grey, 1; None where it has no colours."""
        found: list[Tensor | None] = []
        for output, target in zip(outputs, batch.targets, strict=True):
            own = self._error(output, target) if self.labelled(target) else None
            found.append(None if own is None else torch.stack([own, torch.ones_like(own)]))
        return found

    def _error(self, output: Tensor, target: Target) -> Tensor:
        """Scalar float32."""
        height, width = target.size
        with torch.autocast(output.device.type, enabled=False):
            full = upsample(output[None].float(), self.decoder.stride)[0, :, :height, :width]
            error: Tensor = (full - target[self.label]).square().mean()
        return error

    def metrics(self) -> ErrorMetrics:
        return ErrorMetrics()
