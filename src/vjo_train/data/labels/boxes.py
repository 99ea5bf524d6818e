"""The kind `boxes`: where the objects of an image are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch

from vjo_train.data.labels.base import Kind
from vjo_train.data.objects import Objects
from vjo_train.data.placement import Placement
from vjo_train.drawing.sheet import Sheet
from vjo_train.types import Boxes as Value
from vjo_train.types import Target


class Boxes(Kind):
    """`types.Boxes`. The raw label is `Objects`; those that an augmented picture has lost are left out."""

    name: ClassVar[str] = "boxes"

    def place(self, raw: Objects, placement: Placement) -> Value:
        left = placement.objects
        return Value(
            torch.from_numpy(placement.boxes(raw.boxes)),
            torch.from_numpy(raw.labels[left]),
            torch.from_numpy(raw.difficult[left]),
        )

    def draw(self, sheet: Sheet, target: Target, classes: Sequence[str]) -> None:
        """Frames with the class; difficult objects are marked with `?`."""
        known: Value = target[self.name]
        labels = known.labels.tolist()
        pairs = zip(labels, known.difficult.tolist(), strict=True)
        sheet.boxes(known.xyxy, labels, [classes[label] + ("?" if difficult else "") for label, difficult in pairs])
