"""The kind `category`: the one class of an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from vjo_train.data.labels.base import Kind
from vjo_train.data.placement import Placement
from vjo_train.drawing.palette import class_colour
from vjo_train.drawing.sheet import Sheet
from vjo_train.types import OTHER, Target


class Category(Kind):
    """[] int64: a class of the data set, or `OTHER`, which counts neither way.

    The raw label is the number, which holds for any part of the picture.
    """

    name: ClassVar[str] = "category"

    def place(self, raw: int, placement: Placement) -> Tensor:
        return torch.tensor(raw, dtype=torch.int64)

    def shown(self, raw: int) -> Sequence[int]:
        return [] if raw == OTHER else [raw]

    def draw(self, sheet: Sheet, target: Target, classes: Sequence[str]) -> None:
        label = int(target[self.name])
        if label != OTHER:
            sheet.chips([(classes[label], class_colour(label))])
