"""The kinds `edges` and `saliency`: whether a pixel lies on an edge, or stands out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from vjo_train.data.labels.base import Kind
from vjo_train.data.placement import Placement
from vjo_train.drawing.sheet import Sheet
from vjo_train.types import IGNORE, Target


class BinaryMap(Kind):
    """[H, W] uint8: 1 yes, 0 no, 255 ignored; on the canvas, padding is 255."""

    def place(self, raw: Tensor, placement: Placement) -> Tensor:
        return placement.maps(raw[None], IGNORE)[0]

    def draw(self, sheet: Sheet, target: Target, classes: Sequence[str]) -> None:
        truth = target[self.name]
        sheet.values(torch.where(truth == 1, 1.0, torch.nan), 0.0, 1.0)


class Edges(BinaryMap):
    """Where one thing ends and another begins."""

    name: ClassVar[str] = "edges"


class Saliency(BinaryMap):
    """What catches the eye."""

    name: ClassVar[str] = "saliency"
