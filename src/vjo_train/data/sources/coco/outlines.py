"""The pixels of objects: polygons and run lengths, gathered into flat arrays, and drawn from them.

A polygon is kept as COCO's own drawing sees it: its corners in whole fifths of a pixel, cut towards zero. So the masks
are its masks to the pixel, in half the memory of the numbers.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from faster_coco_eval.core import mask as coco

Masks = npt.NDArray[np.bool_]
"""[N, H, W]."""

FARTHEST = 100_000.0
"""Of a corner from the picture's first pixel, in pixels along either axis: far more is no picture's."""
_AT_ONCE = 1 << 20
"""Numbers that wait to be cut to fifths."""


class Outlines:
    """Gathers the outlines of objects, one after the other.

    Attributes:
        far: objects with a corner that is `FARTHEST` or more away, or nowhere; complete once `arrays` was called.
    """

    def __init__(self) -> None:
        self.far: list[int] = []
        self._corners, self._waiting = array("i"), array("d")
        self._ring_ends, self._rings = array("q", [0]), array("i", [0])
        self._runs, self._runs_ends = bytearray(), array("q", [0])

    def add(self, segmentation: Any, size: tuple[int, int]) -> None:
        """The next object.

        Args:
            segmentation: as in the JSON: polygons, run lengths (compressed or not), or nothing.
            size: (height, width) of its picture.

        Raises:
            ValueError: it is none of these; says what was found and what must be. The object has no outline then.
        """
        try:
            if isinstance(segmentation, dict):
                self._runs += _compressed(segmentation, size)
            elif segmentation:
                self._add_polygons(segmentation)
        finally:
            self._rings.append(len(self._ring_ends) - 1)
            self._runs_ends.append(len(self._runs))

    def _add_polygons(self, polygons: Any) -> None:
        rings = [_ring(polygon) for polygon in polygons] if isinstance(polygons, list) else [_ring(polygons)]
        for ring in rings:
            if len(ring) >= 6:  # fewer corners enclose nothing
                self._waiting.extend(ring)
                self._ring_ends.append(len(self._corners) + len(self._waiting))
        if len(self._waiting) > _AT_ONCE:
            self._cut()

    def _cut(self) -> None:
        corners = np.array(self._waiting, np.float64)
        far = np.flatnonzero(~(np.abs(corners) < FARTHEST))
        if len(far):
            rings = np.searchsorted(np.array(self._ring_ends), far + len(self._corners), side="right") - 1
            self.far += (np.searchsorted(np.array(self._rings), rings, side="right") - 1).tolist()
            corners[far] = 0
        self._corners.frombytes(np.trunc(5 * corners + 0.5).astype(np.int32).tobytes())
        self._waiting = array("d")

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What has been gathered of N objects, by the names that `masks` knows: parts of `Index.more`.

        `rings` [N, 2]: the first of the object's polygons, and the one after its last; `ring_ends` [R + 1]: polygon r
        has the corners `ring_ends[r]:ring_ends[r + 1]`; `corners`: x and y in turns; `spans` [N, 2]: the object's part
        of `runs`, COCO's compressed run lengths.
        """
        self._cut()
        rings, spans = np.frombuffer(self._rings, np.int32), np.frombuffer(self._runs_ends, np.int64)
        return {
            "rings": np.stack([rings[:-1], rings[1:]], axis=1),
            "ring_ends": np.frombuffer(self._ring_ends, np.int64),
            "corners": np.frombuffer(self._corners, np.int32) if self._corners else np.empty(0, np.int32),
            "spans": np.stack([spans[:-1], spans[1:]], axis=1),
            "runs": np.frombuffer(self._runs, np.uint8) if self._runs else np.empty(0, np.uint8),
        }


def known(more: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.bool_]:
    """[N]: whether an object has an outline."""
    found: npt.NDArray[np.bool_] = (np.diff(more["rings"]) + np.diff(more["spans"]) > 0)[:, 0]
    return found


def masks(more: Mapping[str, npt.NDArray[Any]], objects: slice, size: tuple[int, int]) -> Masks:
    """The pixels of some objects of one picture; none for an object without an outline.

    Args:
        more: the arrays.
        objects: which of the N.
        size: (height, width) of the picture.

    Returns:
        [n, height, width].
    """
    height, width = size
    found = []
    for (first, last), (start, end) in zip(
        more["rings"][objects].tolist(), more["spans"][objects].tolist(), strict=True
    ):
        if last > first:
            ends = more["ring_ends"][first : last + 1].tolist()
            polygons = [_pixels(more["corners"][a:b]) for a, b in pairwise(ends)]
            found.append(coco.merge(coco.frPyObjects(polygons, height, width)))
        else:
            runs = more["runs"][start:end].tobytes()
            found.append({"size": [height, width], "counts": runs} if runs else _nothing(height, width))
    if not found:
        return np.zeros((0, height, width), np.bool_)
    drawn: Masks = np.ascontiguousarray(coco.decode(found).transpose(2, 0, 1)).view(np.bool_)
    return drawn


def _pixels(fifths: npt.NDArray[np.int32]) -> list[float]:
    """Corners in pixels that are cut to just these fifths again, whatever the rounding."""
    values: list[float] = (np.where(fifths >= 0, fifths - 0.25, fifths - 0.75) / 5).tolist()
    return values


def _nothing(height: int, width: int) -> dict[str, Any]:
    found: dict[str, Any] = coco.frPyObjects({"size": [height, width], "counts": [height * width]}, height, width)
    return found


def numbers(values: Any) -> array[float]:
    """A list of numbers as an array.

    Raises:
        ValueError: it is none.
    """
    try:
        if type(values) is list:
            return array("d", values)
    except (TypeError, OverflowError):
        pass
    raise ValueError(str(values)[:60])


def _ring(polygon: Any) -> array[float]:
    try:
        ring = numbers(polygon)
    except ValueError as error:
        raise ValueError(f"a polygon {error}; must be a list [x, y, x, y, ...] in a list") from None
    if len(ring) % 2:
        raise ValueError(f"a polygon of {len(ring)} numbers; must be pairs of x and y")
    return ring


def _compressed(runs: dict[str, Any], size: tuple[int, int]) -> bytes:
    """COCO's compressed run lengths, sound ones."""
    if list(runs.get("size") or []) != list(size):
        raise ValueError(f"run lengths of the size {runs.get('size')}; must be {list(size)}, as the picture")
    counts = runs.get("counts")
    if isinstance(counts, str) and counts.isascii():
        lengths, packed = _lengths(counts.encode()), counts.encode()
    elif isinstance(counts, list) and all(type(length) is int for length in counts):
        lengths, packed = np.array(counts, np.int64), b""
    else:
        raise ValueError(f"run lengths {str(counts)[:40]!r}; must be COCO's text, or a list of whole numbers")
    if lengths.min(initial=0) < 0 or lengths.sum() != size[0] * size[1]:
        raise ValueError(f"run lengths of {lengths.sum()} pixels; must be {size[0] * size[1]}, and none below 0")
    if packed:
        return packed
    text = coco.frPyObjects({"size": list(size), "counts": counts}, *size)["counts"]
    return text if isinstance(text, bytes) else text.encode()


def _lengths(text: bytes) -> npt.NDArray[np.int64]:
    """The run lengths in COCO's text: five bits a letter, from the lowest on, with a sign, as differences from the one
    before the last from the fourth on.
    """
    letters = np.frombuffer(text, np.uint8).astype(np.int64) - 48
    last = letters & 32 == 0
    if not len(letters) or letters.min() < 0 or letters.max() > 63 or not last[-1]:
        raise ValueError(f"run lengths {text[:40]!r}; must be COCO's text")
    starts = np.flatnonzero(np.concatenate([[True], last[:-1]]))
    places = np.arange(len(letters)) - np.repeat(starts, np.diff([*starts, len(letters)]))
    if places.max() > 6:
        raise ValueError(f"run lengths {text[:40]!r}; must be COCO's text")
    values = np.add.reduceat((letters & 31) << (5 * places), starts)
    negative = letters[last] & 16 > 0
    values -= negative * (1 << (5 * (places[last] + 1)))
    values[1::2] = values[1::2].cumsum()
    values[2::2] = values[2::2].cumsum()
    return values
