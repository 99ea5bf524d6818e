"""Surface normals from one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vjo_train.drawing.maps import draw_normals
from vjo_train.drawing.sheet import Sheet
from vjo_train.heads.base import TaskMetrics
from vjo_train.heads.pixels.base import mean_of
from vjo_train.heads.pixels.map_head import MapHead
from vjo_train.heads.pixels.metrics import MapMetrics
from vjo_train.heads.task_files import TaskFiles
from vjo_train.metrics.normals import FIGURES, normals_figures


class Normals(MapHead):
    """A unit vector for every pixel; the loss is 1 - cosine, the mean over the pixels that are known.

    Scale: about 1 at the start, where predictions point anywhere; from 0 to 2.
    The arguments are those of `MapHead`.
    """

    outputs: ClassVar[int] = 3
    label: ClassVar[str] = "normals"
    needs: ClassVar[frozenset[str]] = frozenset({label})
    monitor: ClassVar[str] = "within_11"
    reported: ClassVar[Mapping[str, bool]] = {
        **{"mean_angle": False, "median_angle": False},
        **{"within_11": True, "within_22": True, "within_30": True},
    }

    def image_losses(self, maps: Tensor, truth: Tensor) -> Tensor:
        known = truth.isfinite().all(1)
        cosine = (self.finished(maps) * torch.where(known[:, None], truth, 0.0)).sum(1)
        return mean_of(1 - cosine, known)

    def finished(self, maps: Tensor) -> Tensor:
        """[B, 3, H, W] of length 1."""
        return F.normalize(maps, dim=1, eps=1e-6)

    def draw(self, sheet: Sheet, prediction: Tensor, classes: Sequence[str]) -> None:
        draw_normals(sheet, prediction)

    def write(self, files: TaskFiles, prediction: Tensor, classes: Sequence[str]) -> None:
        """A 16-bit RGB PNG: components from -1 to 1 as 0 to 65535."""
        levels = ((prediction.clamp(-1, 1) + 1) * 32767.5).round()
        files.png(levels.permute(1, 2, 0).numpy().astype(np.uint16))

    def metrics(self) -> TaskMetrics:
        return MapMetrics(self.label, FIGURES, normals_figures)
