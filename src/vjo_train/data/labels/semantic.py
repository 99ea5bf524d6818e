"""The kind `semantic`: the class of every pixel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from vjo_train.data.labels.base import Kind
from vjo_train.data.placement import Placement
from vjo_train.drawing.sheet import Sheet
from vjo_train.types import IGNORE, Target


class Semantic(Kind):
    """[H, W] uint8: 0 background, k + 1 for class k, 255 ignored; on the canvas, padding is 255."""

    name: ClassVar[str] = "semantic"
    of_pixels: ClassVar[bool] = True

    def place(self, raw: Tensor, placement: Placement) -> Tensor:
        return placement.maps(raw[None], IGNORE)[0]

    def draw(self, sheet: Sheet, target: Target, classes: Sequence[str]) -> None:
        sheet.classes(target[self.name])
