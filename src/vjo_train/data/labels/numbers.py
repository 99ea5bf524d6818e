"""The kind `numbers`: figures of a whole picture, such as an age or a weight."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from torch import Tensor

from vjo_train.data.labels.base import Kind
from vjo_train.data.placement import Placement
from vjo_train.drawing.palette import class_colour
from vjo_train.drawing.sheet import Sheet
from vjo_train.types import Target


class Numbers(Kind):
    """[C] float32 in the units of the data, by the names of the data set's classes; NaN where one is unknown.

    The raw label is the same: it holds for any part of the picture.
    """

    name: ClassVar[str] = "numbers"

    def place(self, raw: Tensor, placement: Placement) -> Tensor:
        return raw

    def figures(self, raw: Tensor) -> npt.NDArray[np.float64]:
        return raw.double().numpy()

    def draw(self, sheet: Sheet, target: Target, classes: Sequence[str]) -> None:
        sheet.chips(chips(target[self.name], classes))


def chips(values: Tensor, names: Sequence[str]) -> list[tuple[str, tuple[int, int, int]]]:
    """What a caption says of [C] numbers; nothing of those that are NaN."""
    pairs = enumerate(zip(names, values.tolist(), strict=True))
    return [(f"{name} {value:.4g}", class_colour(k)) for k, (name, value) in pairs if not math.isnan(value)]
