"""Boxes as labelling tools write them, read as they are meant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vjo_train.data.objects import Objects
from vjo_train.data.sources.voc.annotation import LONGEST_SIDE, Annotation, difficult
from vjo_train.data.sources.voc.layout import shown


@dataclass(frozen=True)
class Counting:
    """How the boxes of a data set count pixels.

    Attributes:
        first: number of the first pixel, 1 in the devkit, 0 in many tools.
        inside: xmax and ymax are the last pixel of the box, as in the devkit; else the edge behind it.
    """

    first: int = 1
    inside: bool = True

    def continuous(self, corners: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """[N, 4] as they are written -> 0-based continuous xyxy."""
        boxes = corners.copy()
        boxes[:, :2] -= self.first
        if self.inside:
            boxes[:, 2:] += 1 - self.first
        return boxes


def counting(corners: npt.NDArray[np.float32], sides: npt.NDArray[np.int64]) -> tuple[Counting, str]:
    """How a whole data set counts, from the boxes that reach the edges of their pictures.

    It counts from 0 where some box begins at 0, and not more of them begin at 1: a box that was dragged over the edge
    does not make a set of thousands 0-based. Counting from 0, the last pixel is width - 1; where more boxes end at the
    width itself, they end at edges between pixels.

    Args:
        corners: [N, 4] of all boxes, as they are written.
        sides: [N, 2] width and height of their pictures.

    Returns:
        The counting, and what to say of it; nothing where it is the devkit's.
    """
    low = np.minimum(corners[:, :2], corners[:, 2:])
    high = np.floor(np.maximum(corners[:, :2], corners[:, 2:]))
    zeros, ones = int(((low >= 0) & (low < 1)).sum()), int(((low >= 1) & (low < 2)).sum())
    if zeros == 0 or zeros < ones:
        return Counting(), ""
    inside = int((high == sides).sum()) <= int((high == sides - 1).sum())
    end = "the last pixel inside" if inside else "ends are edges between pixels"
    return Counting(0, inside), f"boxes count pixels from 0 ({zeros} begin at 0, {ones} at 1), {end}"


def written_size(known: Annotation) -> tuple[int, int] | None:
    """(height, width) as the file says, or None where it says nothing that can be."""
    sides = [int(text) if text and text.strip().isdecimal() else 0 for text in known.sides]
    width, height = sides
    return (height, width) if all(1 <= side <= LONGEST_SIDE for side in sides) else None


def mended(
    known: Annotation, labels: Sequence[int], size: tuple[int, int], how: Counting
) -> tuple[Objects, list[int], list[tuple[str, str]]]:
    """Corners in their order, boxes cut to the picture, those without area left out, flags other than 1 taken for 0.

    Args:
        known: the annotation.
        labels: [N] of its objects.
        size: (height, width) of the picture.
        how: its boxes count pixels.

    Returns:
        The objects, the numbers (from 1) of those that are left out, and the changes: (kind, what).
    """
    corners = np.asarray(known.corners, np.float32).reshape(-1, 4)
    low, high = np.minimum(corners[:, :2], corners[:, 2:]), np.maximum(corners[:, :2], corners[:, 2:])
    whole = how.continuous(np.concatenate([low, high], axis=1))
    boxes = whole.clip(0, np.array([size[1], size[0]] * 2, np.float32))
    kept = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    changes = {
        "swapped corners": (low != corners[:, :2]).any(axis=1) & kept,
        "clipped box": (whole != boxes).any(axis=1) & kept,
        "dropped box": ~kept,
        "flag read as 0": np.asarray([flag not in ("0", "1") for flag in known.flags], np.bool_),
    }
    notes = [
        (kind, _written(known, number, size, kind))
        for kind, found in changes.items()
        for number in np.nonzero(found)[0].tolist()
    ]
    objects = Objects(boxes[kept], np.asarray(labels, np.int64)[kept], difficult(known)[kept])
    return objects, (np.nonzero(~kept)[0] + 1).tolist(), notes


def _written(known: Annotation, number: int, size: tuple[int, int], kind: str) -> str:
    """What the file says of object `number`, from 0."""
    what = f"object {number + 1} ({known.names[number]})"
    if kind == "flag read as 0":
        return f"{what}: difficult {shown(known.flags[number])}"
    return "{}: ({:g}, {:g}, {:g}, {:g})".format(what, *known.corners[number]) + f" in {size[1]} x {size[0]} pixels"
