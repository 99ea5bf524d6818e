"""Depth from one picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch.nn.functional as F
from annotated_types import Ge, Gt, Interval, Len
from torch import Tensor

from vjo_train.drawing.maps import draw_depth
from vjo_train.drawing.sheet import Sheet
from vjo_train.heads.base import TaskMetrics
from vjo_train.heads.pixels.base import PixelHead
from vjo_train.heads.pixels.decoders import decoder
from vjo_train.heads.pixels.depth_losses import berhu, l1, scale_invariant
from vjo_train.heads.pixels.metrics import MapMetrics
from vjo_train.heads.task_files import TaskFiles
from vjo_train.metrics.depth import FIGURES, depth_figures
from vjo_train.types import Features

LOSSES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {"silog": scale_invariant, "l1": l1, "berhu": berhu}
_FLAT = 0.5413
"""softplus(0.5413) = 1: an untrained head predicts its typical depth."""


class Depth(PixelHead):
    """The depth of every pixel, `typical * softplus(map)`, so that it is above 0.

    Scale: the loss `silog` does not depend on the unit; `l1` and `berhu` are in units of `typical`.

    Args:
        channels: of every level of the pyramid.
        strides: of every level, pixels of the canvas per cell; None: as usual (`c5`, `p5`: 32).
        levels: the features it reads; maps have the stride of the finest.
        width: channels of the branch.
        loss: scale-invariant of logarithms, mean absolute error, or berHu; see `depth_losses`.
        typical: a depth of about the mean of the data, in their unit.
        rates: dilations of atrous spatial pyramid pooling on one level; None: levels are added up.
        dropout: share of the channels behind the pooling that is dropped in training.
        step: of the values in prediction files, in the unit of the data.

    Raises:
        ConfigError: levels that are not there, differ in channels, or are several with `rates`.
    """

    label: ClassVar[str] = "depth"
    needs: ClassVar[frozenset[str]] = frozenset({label})
    monitor: ClassVar[str] = "delta1"
    reported: ClassVar[Mapping[str, bool]] = {"abs_err": False, "abs_rel": False}

    def __init__(
        self,
        *,
        channels: Mapping[str, int],
        strides: Mapping[str, int] | None = None,
        levels: Sequence[str] = ("p3", "p4", "p5"),
        width: Annotated[int, Ge(8)] = 128,
        loss: Literal["silog", "l1", "berhu"] = "silog",
        typical: Annotated[float, Gt(0)] = 1.0,
        rates: Annotated[Sequence[Annotated[int, Ge(1)]], Len(1)] | None = None,
        dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.1,
        step: Annotated[float, Gt(0)] = 0.001,
    ) -> None:
        layers = decoder("heads.depth", channels, strides, levels, width, 1, rates=rates, dropout=dropout)
        super().__init__(layers.stride)
        self.levels, self.decoder = layers.levels, layers
        self.typical, self.step, self.loss_of = typical, step, LOSSES[loss]

    def forward(self, features: Features) -> Tensor:
        """The pyramid -> maps [B, 1, h, w] at `stride`."""
        maps: Tensor = self.decoder(features)
        return maps

    def image_losses(self, maps: Tensor, truth: Tensor) -> Tensor:
        return self.loss_of(self.finished(maps) / self.typical, truth / self.typical)

    def finished(self, maps: Tensor) -> Tensor:
        """[B, H, W] in the unit of the data, above 0."""
        return self.typical * F.softplus(maps[:, 0] + _FLAT).clamp(min=1e-6)

    def draw(self, sheet: Sheet, prediction: Tensor, classes: Sequence[str]) -> None:
        draw_depth(sheet, prediction)

    def write(self, files: TaskFiles, prediction: Tensor, classes: Sequence[str]) -> None:
        """A 16-bit grey PNG: depth / `step`, rounded; 65535 where it is greater than that."""
        files.png((prediction / self.step).round().clamp(0, 65535).numpy().astype(np.uint16))

    def metrics(self) -> TaskMetrics:
        return MapMetrics(self.label, FIGURES, depth_figures)
