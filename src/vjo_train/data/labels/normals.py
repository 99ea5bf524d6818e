"""The kind `normals`: where the surface at every pixel faces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from vjo_train.data.labels.base import Kind
from vjo_train.data.placement import Placement
from vjo_train.drawing.maps import draw_normals
from vjo_train.drawing.sheet import Sheet
from vjo_train.types import Target


class Normals(Kind):
    """[3, H, W] float32: unit vectors whose first component is along the rows of the picture; NaN where not known.

    In a mirror image the first component changes its sign. The other two are as the source has them.
    """

    name: ClassVar[str] = "normals"

    def place(self, raw: Tensor, placement: Placement) -> Tensor:
        placed = placement.maps(raw, float("nan"))
        return placed * placed.new_tensor([-1.0, 1.0, 1.0])[:, None, None] if placement.mirrored else placed

    def draw(self, sheet: Sheet, target: Target, classes: Sequence[str]) -> None:
        draw_normals(sheet, target[self.name])


def normalised(vectors: Tensor) -> Tensor:
    """Vectors [..., 3, H, W] -> of length 1; NaN where they are 0 or not finite."""
    lengths = vectors.norm(dim=-3, keepdim=True)
    return torch.where((lengths > 1e-6) & lengths.isfinite(), vectors / lengths, torch.nan)
