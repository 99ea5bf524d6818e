"""The kind `classes`: which classes an image shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vjo_train.data.labels.base import Kind
from vjo_train.data.objects import Objects
from vjo_train.data.placement import Placement
from vjo_train.drawing.palette import class_colour
from vjo_train.drawing.sheet import Sheet
from vjo_train.types import Target


@dataclass(frozen=True)
class ShownByObjects:
    """The classes of a picture whose objects are annotated: those of the objects that are left of it.

    Attributes:
        objects: all of them.
        count: of the classes, C.
        annotated: [C]: which classes are annotated at all; others are unknown. None: all.
    """

    objects: Objects
    count: int
    annotated: npt.NDArray[np.bool_] | None = None


class Classes(Kind):
    """[C] int8: 1 present, -1 absent, 0 unknown or only as difficult objects (counts neither way).

    The raw label is such a tensor, which holds for any part of the picture, or `ShownByObjects`.
    """

    name: ClassVar[str] = "classes"

    def place(self, raw: Tensor | ShownByObjects, placement: Placement) -> Tensor:
        if isinstance(raw, Tensor):
            return raw
        labels, difficult = (values[placement.objects] for values in (raw.objects.labels, raw.objects.difficult))
        classes = np.full(raw.count, -1, np.int8)
        classes[labels[difficult]] = 0
        classes[labels[~difficult]] = 1
        if raw.annotated is not None:
            classes[~raw.annotated] = 0
        return torch.from_numpy(classes)

    def shown(self, raw: Tensor | ShownByObjects) -> Sequence[int] | None:
        return (raw == 1).nonzero().flatten().tolist() if isinstance(raw, Tensor) else None

    def draw(self, sheet: Sheet, target: Target, classes: Sequence[str]) -> None:
        present = (target[self.name] == 1).nonzero().flatten().tolist()
        sheet.chips([(classes[label], class_colour(label)) for label in present])
