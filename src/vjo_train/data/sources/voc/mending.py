"""Boxes as labelling tools write them, read as they are meant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vjo_train.data.sources.voc.annotation import LONGEST_SIDE, Annotation

DROPPED_BOX = "dropped box"


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
    corners: npt.NDArray[np.float32], sides: npt.NDArray[np.int64], how: Counting
) -> tuple[npt.NDArray[np.float32], dict[str, npt.NDArray[np.bool_]]]:
    """Boxes with their corners in order, cut to their pictures.

    Args:
        corners: [N, 4] as they are written.
        sides: [N, 2] width and height of their pictures.
        how: they count pixels.

    Returns:
        [N, 4] 0-based continuous xyxy, and kind of change -> [N] whether a box is changed so; a `DROPPED_BOX` has no
        area in its picture.
    """
    low, high = np.minimum(corners[:, :2], corners[:, 2:]), np.maximum(corners[:, :2], corners[:, 2:])
    whole = how.continuous(np.concatenate([low, high], axis=1))
    boxes = whole.clip(0, np.tile(sides, 2).astype(np.float32))
    kept = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    return boxes, {
        "swapped corners": (low != corners[:, :2]).any(axis=1) & kept,
        "clipped box": (whole != boxes).any(axis=1) & kept,
        DROPPED_BOX: ~kept,
    }


def as_written(known: Annotation, number: int, size: tuple[int, int]) -> str:
    """What a file says of object `number`, from 0, of a picture of `size` (height, width)."""
    box = "({:g}, {:g}, {:g}, {:g})".format(*known.corners[number])
    return f"object {number + 1} ({known.names[number]}): {box} in {size[1]} x {size[0]} pixels"
