"""The kind `depth`: how far every pixel is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from torch import Tensor

from vjo_train.data.labels.base import Kind
from vjo_train.data.objects import Objects
from vjo_train.data.placement import Placement
from vjo_train.drawing.maps import draw_depth
from vjo_train.drawing.sheet import Sheet
from vjo_train.types import Target


class Depth(Kind):
    """[H, W] float32, above 0, in the unit of the source; NaN where it is not known, such as in the padding.

    A picture that is enlarged by s beyond its own place on the canvas looks as if it had been taken s times as near, so
    its depth is divided by s, as is usual where scale is augmented (Eigen, Puhrsch, Fergus 2014). The same picture at
    another resolution keeps its depth.

    Args:
        inverse: values are one over the distance, such as disparities: they are multiplied.
    """

    name: ClassVar[str] = "depth"

    def __init__(self, inverse: bool = False) -> None:
        self.inverse = inverse

    def __repr__(self) -> str:
        return f"Depth(inverse={self.inverse})"

    def place(self, raw: Tensor, placement: Placement) -> Tensor:
        placed = placement.maps(raw[None], float("nan"))[0]
        if placement.zoom == 1:
            return placed
        return placed * placement.zoom if self.inverse else placed / placement.zoom

    def draw(self, sheet: Sheet, target: Target, classes: Sequence[str]) -> None:
        draw_depth(sheet, target[self.name])

    def doubts(self, raw: Tensor, objects: Objects) -> Iterator[tuple[str, str]]:
        if not raw.isfinite().any():
            yield "empty depth map", "not one pixel has a depth"
