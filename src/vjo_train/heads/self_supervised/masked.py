"""What do the hidden patches show?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from annotated_types import Ge, Interval
from torch import Tensor, nn

from vjo_train.errors import ConfigError
from vjo_train.heads.detection.dense import stride
from vjo_train.heads.pixels.decoders import PyramidSum
from vjo_train.heads.self_supervised.base import SelfSupervised
from vjo_train.heads.self_supervised.metrics import ErrorMetrics
from vjo_train.types import MEAN_COLOUR, Batch, Features, Movable, Target

FLAT = (2 / 255) ** 2
"""Added to the variance of a patch: one that differs by a step or two of the 255 has nothing to be found out."""


@dataclass
class Hidden(Movable):
    """N hidden patches of one picture."""

    pixels: Tensor
    """[N, 3, p, p] uint8: what they showed."""
    places: Tensor
    """[N, 2] int64: row and column among the patches of the canvas."""


class Masked(SelfSupervised):
    """Square patches are hidden under the mean colour, and their pixels predicted from what is around them.

    After MAE (He et al. 2022) and SimMIM (Xie et al. 2022), which also works for convolutions: the whole picture goes
    through the network, hidden patches included. Each patch is predicted relative to its own mean and standard
    deviation (MAE), by a light decoder (`pixels.decoders.PyramidSum`, and 3 s^2 channels at stride s that are laid out
    as pixels).

    Scale: the mean squared error of the normalised pixels. Who predicts the mean of each patch gets 1, so about 1 at
    the start; flat patches hardly count.

    Args:
        channels: of every level of the pyramid.
        strides: of every level, pixels of the canvas per cell; None: as usual (`c5`, `p5`: 32).
        levels: the features it reads; pixels are laid out from cells of the finest.
        width: channels of the decoder.
        patch: side of the patches in pixels of the canvas. A picture without a whole patch is left out.
        share: of the patches of a picture that is hidden; at least one is, and one is not, where there are two.
        images: masked pictures in each training step, over all ranks; None: as many as a batch holds.

    Raises:
        ConfigError: levels that are not there or differ in channels; in use, a patch that does not fit on the canvas.
    """

    label: ClassVar[str] = "masked"
    needs: ClassVar[frozenset[str]] = frozenset({label})
    monitor: ClassVar[str] = "r2"

    def __init__(
        self,
        *,
        channels: Mapping[str, int],
        strides: Mapping[str, int] | None = None,
        levels: Sequence[str] = ("p3", "p4", "p5"),
        width: Annotated[int, Ge(8)] = 128,
        patch: Annotated[int, Ge(4)] = 16,
        share: Annotated[float, Interval(gt=0, lt=1)] = 0.5,
        images: Annotated[int, Ge(1)] | None = None,
    ) -> None:
        super().__init__(images)
        self.cell = min((stride(level, strides) for level in levels), default=1)
        self.decoder = PyramidSum("heads.masked", channels, strides, levels, width, 3 * self.cell**2)
        nn.init.normal_(self.decoder.maps.weight, std=0.02)  # it starts near the mean
        self.decoder.maps.bias = nn.Parameter(torch.zeros(3 * self.cell**2))
        self.levels, self.patch, self.share = self.decoder.levels, patch, share

    def views(self, batch: Batch, seeds: Sequence[int]) -> Batch:
        height, width = batch.images.shape[-2:]
        if self.patch > min(height, width):
            raise ConfigError(
                f"heads.masked.patch: found {self.patch}; must be at most {min(height, width)}, to fit on the canvas."
            )
        return super().views(batch, seeds)

    def altered(self, picture: Tensor, draws: torch.Generator) -> tuple[Tensor, Hidden | None]:
        """The picture with hidden patches, and what they showed."""
        rows, columns = (length // self.patch for length in picture.shape[1:])
        if rows * columns == 0:
            return picture, None
        number = max(1, min(round(self.share * rows * columns), rows * columns - 1))
        chosen = torch.randperm(rows * columns, generator=draws)[:number]
        places = torch.stack([chosen // columns, chosen % columns], 1).to(picture.device)
        hidden = Hidden(patches(picture, places, self.patch), places)
        view = picture.clone()
        inside = view[:, : rows * self.patch, : columns * self.patch]
        covered = torch.zeros(rows * columns, dtype=torch.bool).index_fill(0, chosen, True).view(rows, columns)
        covered = covered.repeat_interleave(self.patch, 0).repeat_interleave(self.patch, 1).to(picture.device)
        inside[:] = torch.where(covered, picture.new_tensor(MEAN_COLOUR)[:, None, None], inside)
        return view, hidden

    def forward(self, features: Features) -> Tensor:
        """The pyramid -> [B, 3, H, W] at the canvas's pixels, of meaning where patches are hidden."""
        return F.pixel_shuffle(self.decoder(features), self.cell)

    def loss(self, outputs: Tensor, targets: list[Target]) -> Tensor:
        losses = outputs.new_zeros(len(targets), dtype=torch.float32)
        places = [k for k, target in enumerate(targets) if self.labelled(target)]
        if not places:
            return losses
        own = torch.stack([self._error(outputs[k], targets[k][self.label]).mean() for k in places])
        return losses.index_copy(0, torch.tensor(places, device=outputs.device), own)

    def decode(self, outputs: Tensor, batch: Batch) -> list[Tensor | None]:
        """The squared errors of the hidden patches of each picture, and what they are for who predicts the mean: [2].

        The pixels themselves are of no use to anyone. None where nothing is hidden.
        """
        return [self._figures(output, target) for output, target in zip(outputs, batch.targets, strict=True)]

    def _figures(self, output: Tensor, target: Target) -> Tensor | None:
        if not self.labelled(target):
            return None
        hidden = target[self.label]
        mean = normalised(hidden.pixels).square()
        return torch.stack([self._error(output, hidden).sum(), mean.sum()])

    def _error(self, output: Tensor, hidden: Hidden) -> Tensor:
        """[N, 3, p, p] float32."""
        with torch.autocast(output.device.type, enabled=False):
            return (patches(output, hidden.places, self.patch).float() - normalised(hidden.pixels)).square()

    def metrics(self) -> ErrorMetrics:
        return ErrorMetrics()


def patches(picture: Tensor, places: Tensor, side: int) -> Tensor:
    """Those of [3, H, W] at [N, 2] places (row, column) of the grid of squares of that side -> [N, 3, side, side]."""
    rows, columns = (length // side for length in picture.shape[1:])
    whole = picture[:, : rows * side, : columns * side].reshape(3, rows, side, columns, side)
    return whole.permute(1, 3, 0, 2, 4)[places[:, 0], places[:, 1]]


def normalised(pixels: Tensor) -> Tensor:
    """uint8 [N, 3, p, p] -> float32 relative to the mean and standard deviation of each patch."""
    values = pixels.float() / 255
    variance, mean = torch.var_mean(values, dim=(1, 2, 3), correction=0, keepdim=True)
    return (values - mean) / (variance + FLAT).sqrt()
