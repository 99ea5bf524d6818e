"""The kind `keypoints`: named points of every object, such as the joints of a person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from vjo_train.data.labels.base import Kind
from vjo_train.data.objects import Objects
from vjo_train.data.placement import Placement
from vjo_train.drawing.sheet import Sheet
from vjo_train.types import Keypoints as Value
from vjo_train.types import Target

Float = TypeVar("Float", np.float32, np.float64)

BOX_SHARE = 0.53
"""The area of an object by that of its box, where nobody has measured it: what xtcocotools and Ultralytics take."""
FAR = 0.5
"""How far outside its box a point looks wrong, by the longer side of the box."""


@dataclass(frozen=True)
class ObjectPoints:
    """The raw label: K points of each of a picture's N objects, in continuous pixels of its file."""

    points: npt.NDArray[np.float32]
    """[N, K, 3]: x, y, and 0 unknown, 1 hidden, 2 visible."""
    areas: npt.NDArray[np.float32]
    """[N]: of the objects in square pixels; see `BOX_SHARE`."""
    swap: npt.NDArray[np.int64] | None
    """[K]: in a mirror image, point k is what point `swap[k]` was, such as the other eye. None: nothing says which, so
    the points of a mirror image are unknown."""
    edges: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty((0, 2), np.int64))
    """[E, 2]: the points that drawings join."""

    def __getitem__(self, which: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> ObjectPoints:
        """Those of some objects."""
        return replace(self, points=self.points[which], areas=self.areas[which])


def mirrored(points: npt.NDArray[Float], swap: npt.NDArray[np.int64] | None) -> npt.NDArray[Float]:
    """[..., K, 3] that lie in a mirror image already, each as the point that it is there; see `ObjectPoints.swap`."""
    return np.zeros_like(points) if swap is None else points[..., swap, :]


class Keypoints(Kind):
    """`types.Keypoints`, in the order of the image's boxes, which must be labelled too. The raw label: `ObjectPoints`.

    Points outside the picture, where it lies now, are unknown. Objects without points have unknown ones.
    """

    name: ClassVar[str] = "keypoints"
    beside: ClassVar[frozenset[str]] = frozenset({"boxes"})

    def place(self, raw: ObjectPoints, placement: Placement) -> Value:
        own = raw[placement.objects]
        points = np.concatenate([placement.points(own.points[..., :2]), own.points[..., 2:]], axis=-1)
        if placement.mirrored:
            points = mirrored(points, raw.swap)
        inside = (points[..., :2] >= 0).all(-1) & (points[..., :2] <= placement.size[::-1]).all(-1)
        points[~inside | (points[..., 2] == 0)] = 0
        areas = own.areas * np.float32(placement.scale**2)
        return Value(torch.from_numpy(points), torch.from_numpy(areas), torch.from_numpy(raw.edges.copy()))

    def draw(self, sheet: Sheet, target: Target, classes: Sequence[str]) -> None:
        """Dots, and lines between those that the data set joins."""
        known: Value = target[self.name]
        sheet.points(known.points, target["boxes"].labels.tolist(), known.edges.tolist())

    def doubts(self, raw: ObjectPoints, objects: Objects) -> Iterator[tuple[str, str]]:
        """Objects with points far outside their box: the two may be of different objects, or in other units."""
        for number, (points, box) in enumerate(zip(raw.points, objects.boxes, strict=True), 1):
            places = points[points[:, 2] > 0, :2]
            beyond = np.maximum(box[:2] - places, places - box[2:]).max(axis=1, initial=0)
            far = int((beyond > FAR * (box[2:] - box[:2]).max()).sum())
            if far:
                yield "point outside box", f"{far} of the {len(places)} points of object {number} are far from its box"
