"""The kind `keypoints`: points of every object, such as the joints of a person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch

from vjo_train.data.labels.base import Kind
from vjo_train.data.objects import Objects
from vjo_train.data.placement import Placement
from vjo_train.drawing.sheet import Sheet
from vjo_train.types import Target


@dataclass(frozen=True)
class Points:
    """K points of each of N objects, in pixels of the picture file.

    Attributes:
        points: [N, K, 3]: x, y, and 2 where it is seen, 1 where it is hidden, 0 where it is not known.
        swapped: [K]: which point is which in a mirror image, such as the left eye for the right one.
    """

    points: npt.NDArray[np.float32]
    swapped: npt.NDArray[np.int64]


class Keypoints(Kind):
    """[N, K, 3] float32, in the order of the image's boxes, which must be labelled too: see `Points`.

    Points that an augmented picture has lost, and those that are not known, are 0, 0, 0.
    """

    name: ClassVar[str] = "keypoints"

    def place(self, raw: Points, placement: Placement) -> torch.Tensor:
        points = raw.points[placement.objects]
        placed = placement.points(points[..., :2])
        height, width = placement.size
        inside = (placed >= 0).all(axis=-1) & (placed[..., 0] <= width) & (placed[..., 1] <= height)
        known = (points[..., 2] > 0) & inside
        moved = np.concatenate([placed, points[..., 2:]], axis=-1) * known[..., None]
        return torch.from_numpy(moved[:, raw.swapped] if placement.mirrored else moved)

    def draw(self, sheet: Sheet, target: Target, classes: Sequence[str]) -> None:
        points = target[self.name]
        sheet.points(points[..., :2], points[..., 2] > 0, target["boxes"].labels.tolist())

    def doubts(self, raw: Points, objects: Objects) -> Iterator[tuple[str, str]]:
        """Points that lie farther from their object's box than it is long."""
        for number, (points, box) in enumerate(zip(raw.points, objects.boxes, strict=True), 1):
            known = points[points[:, 2] > 0, :2]
            far = np.maximum(np.maximum(box[:2] - known, known - box[2:]), 0) > (box[2:] - box[:2]).max()
            if far.any():
                yield "points outside box", f"{int(far.any(axis=1).sum())} points of object {number} are far from it"
