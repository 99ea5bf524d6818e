"""Outlines of objects as arrays: polygons, and run-length codes."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from faster_coco_eval.core import mask as rle

Arrays = dict[str, npt.NDArray[Any]]


@dataclass
class Segments:
    """The outlines of N objects, one after the other: each some polygons, a run-length code, or nothing."""

    # In double precision: single changes the pixels at the edge of a third of COCO's objects.
    points: array[float] = field(default_factory=lambda: array("d"))
    rings: array[int] = field(default_factory=lambda: array("q", [0]))
    """Where the polygons begin in `points`, and the last one ends."""
    of_object: array[int] = field(default_factory=lambda: array("q", [0]))
    """Where the polygons of an object begin in `rings`."""
    codes: bytearray = field(default_factory=bytearray)
    ends: array[int] = field(default_factory=lambda: array("q", [0]))
    """Where the code of an object begins in `codes`."""

    def add(self, segmentation: Any) -> bool:
        """Takes the next object; whether it has an outline.

        Args:
            segmentation: as COCO has it: polygons as lists of x, y; counts and size, counts as text or a list; or else.
        """
        known = False
        if isinstance(segmentation, list):
            for ring in segmentation:
                if isinstance(ring, list) and len(ring) >= 6 and len(ring) % 2 == 0:
                    self.points.extend(ring)
                    self.rings.append(len(self.points))
                    known = True
        elif isinstance(segmentation, Mapping) and "counts" in segmentation:
            self.codes += _code(segmentation)
            known = True
        self.of_object.append(len(self.rings) - 1)
        self.ends.append(len(self.codes))
        return known

    def arrays(self, order: npt.NDArray[np.int64]) -> Arrays:
        """All outlines, those of the objects `order` in this order, for `outline`."""
        of_object, ends, rings = (np.frombuffer(values, np.int64) for values in (self.of_object, self.ends, self.rings))
        chosen, of_object = _taken(of_object, order)
        places, rings = _taken(rings, chosen)
        bytes_, ends = _taken(ends, order)
        points = np.frombuffer(self.points, np.float64) if self.points else np.empty(0)
        codes = np.frombuffer(bytes(self.codes), np.uint8)
        return {
            "points": points[places], "rings": rings, "of_object": of_object, "codes": codes[bytes_], "ends": ends
        }  # fmt: skip


def outline(arrays: Mapping[str, npt.NDArray[Any]], number: int, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """[H, W] the pixels of object `number`, as COCO's own tools decode them; none where it has no outline."""
    height, width = size
    code = arrays["codes"][arrays["ends"][number] : arrays["ends"][number + 1]]
    first, last = arrays["of_object"][number : number + 2].tolist()
    if len(code):
        found = rle.decode({"size": [height, width], "counts": code.tobytes()})
    elif last > first:
        ends = arrays["rings"][first : last + 1].tolist()
        rings = [arrays["points"][low:high].tolist() for low, high in pairwise(ends)]
        found = rle.decode(rle.merge(rle.frPyObjects(rings, height, width)))
    else:
        found = np.zeros((height, width), np.uint8)
    pixels: npt.NDArray[np.bool_] = np.asarray(found, np.bool_)
    return pixels


def outlines(arrays: Mapping[str, npt.NDArray[Any]], numbers: range, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """[N, H, W] the `outline` of each object of `numbers`."""
    found = np.zeros((len(numbers), *size), np.bool_)
    for place, number in enumerate(numbers):
        found[place] = outline(arrays, number, size)
    return found


def _code(segmentation: Mapping[str, Any]) -> bytes:
    counts = segmentation["counts"]
    if isinstance(counts, list):
        height, width = segmentation["size"]
        counts = rle.frPyObjects({"counts": counts, "size": [height, width]}, height, width)["counts"]
    return counts.encode("ascii") if isinstance(counts, str) else bytes(counts)


def _taken(
    starts: npt.NDArray[np.int64], order: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The places of the items of the rows `order` of a ragged array, and where these rows begin afterwards."""
    lengths = np.diff(starts)[order]
    ends = np.cumsum(np.append(0, lengths))
    places = np.repeat(starts[order] - ends[:-1], lengths) + np.arange(ends[-1])
    return places, ends
