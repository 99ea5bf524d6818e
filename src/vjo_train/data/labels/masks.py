"""The kind `masks`: the pixels of every object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from vjo_train.data.labels.base import Kind
from vjo_train.data.objects import Objects
from vjo_train.data.placement import Placement
from vjo_train.drawing.sheet import Sheet
from vjo_train.types import Target


class Masks(Kind):
    """[N, H, W] bool, in the order of the image's boxes.

    The raw label is an integer map [H, W] whose value k + 1 means object k (others mean none), or [N, H, W] bool for
    objects that overlap.
    """

    name: ClassVar[str] = "masks"
    beside: ClassVar[frozenset[str]] = frozenset({"boxes"})

    def place(self, raw: Tensor, placement: Placement) -> Tensor:
        left = torch.from_numpy(placement.objects)
        if raw.ndim == 3:
            return placement.maps(raw[left], False)
        none = torch.iinfo(raw.dtype).max
        placed, numbers = placement.maps(raw[None], none)[0], (left + 1)[:, None, None]
        return (placed == numbers.to(raw.dtype)) & (numbers < none)  # a map of bytes has no room for more objects

    def draw(self, sheet: Sheet, target: Target, classes: Sequence[str]) -> None:
        sheet.masks(target[self.name], target["boxes"].labels.tolist())

    def doubts(self, raw: Tensor, objects: Objects) -> Iterator[tuple[str, str]]:
        """Objects whose pixels lie somewhere else than their box: the two may be in another order."""
        for number, box in enumerate(objects.boxes, 1):
            mask = (raw == number if raw.ndim == 2 else raw[number - 1]).numpy()
            rows, columns = np.nonzero(mask)
            if not len(rows):
                yield "object without pixels", f"object {number} has a box, but no pixel in the object mask"
                continue
            inside = (columns >= box[0] - 1) & (columns <= box[2]) & (rows >= box[1] - 1) & (rows <= box[3])
            if inside.mean() < 0.5:
                yield "mask outside box", f"{100 * inside.mean():.0f}% of the pixels of object {number} are in its box"
