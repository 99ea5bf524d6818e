"""Depth from one picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch.nn.functional as F
from annotated_types import Gt
from torch import Tensor

from vjo_train.drawing.maps import draw_depth
from vjo_train.drawing.sheet import Sheet
from vjo_train.heads.base import TaskMetrics
from vjo_train.heads.pixels.depth_losses import berhu, l1, scale_invariant
from vjo_train.heads.pixels.map_head import MapHead
from vjo_train.heads.pixels.metrics import MapMetrics
from vjo_train.heads.task_files import TaskFiles
from vjo_train.metrics.depth import FIGURES, depth_figures

LOSSES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {"silog": scale_invariant, "l1": l1, "berhu": berhu}
_FLAT = 0.5413
"""softplus(0.5413) = 1: an untrained head predicts its typical depth."""


class Depth(MapHead):
    """The depth of every pixel, `typical * softplus(map)`, so that it is above 0.

    Scale: the loss `silog` does not depend on the unit; `l1` and `berhu` are in units of `typical`.

    Args:
        loss: scale-invariant of logarithms, mean absolute error, or berHu; see `depth_losses`.
        typical: a depth of about the mean of the data, in their unit.
        step: of the values in prediction files, in the unit of the data.
        options: those of `MapHead`.
    """

    label: ClassVar[str] = "depth"
    needs: ClassVar[frozenset[str]] = frozenset({label})
    monitor: ClassVar[str] = "delta1"
    reported: ClassVar[Mapping[str, bool]] = {"abs_err": False, "abs_rel": False}

    def __init__(
        self,
        *,
        loss: Literal["silog", "l1", "berhu"] = "silog",
        typical: Annotated[float, Gt(0)] = 1.0,
        step: Annotated[float, Gt(0)] = 0.001,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.typical, self.step, self.loss_of = typical, step, LOSSES[loss]

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
