"""The kind of label `brightness`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from vjo_train.data.labels.base import Kind
from vjo_train.data.placement import Placement
from vjo_train.drawing.sheet import Sheet
from vjo_train.types import Target


class Brightness(Kind):
    """[H, W] float32 in 0..1; NaN where it is not known, such as in the padding."""

    name: ClassVar[str] = "brightness"

    def place(self, raw: Tensor, placement: Placement) -> Tensor:
        return placement.maps(raw[None], float("nan"))[0]

    def draw(self, sheet: Sheet, target: Target, classes: Sequence[str]) -> None:
        sheet.values(target[self.name], 0.0, 1.0)
