"""Key points of objects, gathered into flat arrays."""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

from vjo_train.data.labels.keypoints import BOX_SHARE, ObjectPoints
from vjo_train.data.objects import Objects
from vjo_train.data.sources.coco.document import items
from vjo_train.data.sources.coco.layout import Part
from vjo_train.data.sources.voc.layout import listing
from vjo_train.errors import DataError
from vjo_train.geometry import PIXEL_CENTRE

BY_OBJECT = ("point_rows", "areas")
"""Those of the arrays that have an entry for each object."""
_SIDES = {"left": "right", "right": "left", "Left": "Right", "Right": "Left", "LEFT": "RIGHT", "RIGHT": "LEFT"}


@dataclass(frozen=True)
class Skeleton:
    """The key points of a category."""

    category: str
    file: Path
    names: tuple[str, ...]
    """[K]."""
    edges: tuple[tuple[int, int], ...]
    """Pairs of points that are joined, from 0."""


def swap(names: Sequence[str]) -> npt.NDArray[np.int64]:
    """[K]: the point that each one was in a mirror image: that with `left` for `right` in its name, or itself."""
    other = [re.sub("|".join(_SIDES), lambda side: _SIDES[side[0]], name) for name in names]
    return np.array([names.index(name) if name in names else k for k, name in enumerate(other)], np.int64)


def pointed(parts: Sequence[Part]) -> set[str]:
    """The names of the categories that have key points."""
    files = {part.points for part in parts}
    return {_name(one) for file in files for one in items(file, "categories") if one.get("keypoints")}


class Points:
    """Reads the key points of one file after the other.

    Args:
        classes: names of categories whose points are read.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self._classes = frozenset(classes)
        self._skeleton: Skeleton | None = None
        self._values, self._count = array("f"), 0
        self._rows: list[npt.NDArray[np.int32]] = []
        self._areas: list[npt.NDArray[np.float32]] = []

    def read(
        self, part: Part, ids: npt.NDArray[np.int64], images: Mapping[Any, int], fault: Callable[[int, str], None]
    ) -> set[Any]:
        """Adds the points of the objects of a part.

        Args:
            part: with the file that has them.
            ids: [n] of its objects' annotations.
            images: id -> row.
            fault: takes the row of an image and what is wrong with it.

        Returns:
            The ids of the images whose objects' points are known.

        Raises:
            DataError: the file is broken, or the categories have different points.
        """
        owners = self._categories(part.points)
        rows, areas = np.full(len(ids), -1, np.int32), np.zeros(len(ids), np.float32)
        self._rows.append(rows)
        self._areas.append(areas)
        if not owners:
            return set()
        keys, measured, places = array("q"), array("d"), array("i")
        for found in items(part.points, "annotations"):
            key, image, category, area = (found.get(name) for name in ("id", "image_id", "category_id", "area"))
            if type(key) is not int or type(image) not in (int, str) or type(category) is not int:
                continue  # nothing that an object could be found by
            if category in owners and image in images:
                try:
                    place = self._add(found.get("keypoints"))
                except ValueError as error:
                    fault(images[image], f"annotation {key} has {error}")
                    continue
                keys.append(key)
                places.append(place)
                measured.append(area if isinstance(area, int | float) else 0.0)
        self._join(part.points, np.array(keys, np.int64), np.array(places, np.int32), np.array(measured), ids)
        return {image.get("id") for image in items(part.points, "images")}

    def _join(
        self,
        file: Path,
        keys: npt.NDArray[np.int64],
        places: npt.NDArray[np.int32],
        areas: npt.NDArray[np.float64],
        ids: npt.NDArray[np.int64],
    ) -> None:
        """Gives the objects with the annotation ids `ids` what has been read of `keys`."""
        order = np.argsort(keys, kind="stable")
        if len(twice := np.flatnonzero(np.diff(keys[order]) == 0)):
            raise DataError(
                f"{file}: the annotation id {keys[order][twice[0]]} is there twice; each must have its own."
            )
        at = np.searchsorted(keys[order], ids)
        known = np.flatnonzero(np.append(keys[order], -1)[at] == ids)
        self._rows[-1][known] = places[order][at[known]]
        self._areas[-1][known] = np.where(np.isfinite(areas) & (areas > 0), areas, 0)[order][at[known]]

    def _categories(self, file: Path) -> set[Any]:
        """The ids of the categories that have points."""
        found = set()
        for category in items(file, "categories"):
            names, name = category.get("keypoints"), _name(category)
            if names and name in self._classes:
                own = Skeleton(name, file, _names(names, file), _edges(category.get("skeleton"), len(names), file))
                self._skeleton = self._skeleton or own
                if own.names != self._skeleton.names:
                    raise DataError(_different(self._skeleton, own))
                found.add(category.get("id"))
        return found

    def _add(self, found: Any) -> int:
        """The place of an object's points, -1 where all are unknown.

        Raises:
            ValueError: they are not K points; says what was found and what must be.
        """
        if not found:
            return -1
        assert self._skeleton is not None, "a category has points"
        count = 3 * len(self._skeleton.names)
        numeric = type(found) is list and all(type(value) in (int, float) for value in found)
        if not numeric or len(found) != count or not math.isfinite(sum(found)) or not {*found[2::3]} <= {0, 1, 2}:
            raise ValueError(
                f"the keypoints {str(found)[:60]}; must be {count} numbers: x, y, and 0, 1 or 2, of each point"
            )
        if not any(found[2::3]):
            return -1
        self._values.extend(found)
        self._count += 1
        return self._count - 1

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What has been read of N objects, by the names that `points` knows: parts of `Index.more`; nothing if no
        category has points.

        `point_rows` [N] int32: the object's place among the P that have points, or -1; `points` [P, K, 3] float32 in
        continuous pixels; `areas` [N] float32 in square pixels, 0 where not said; `swap` [K]; `edges` [E, 2].
        """
        if self._skeleton is None:
            return {}
        points = np.array(self._values, np.float32).reshape(-1, len(self._skeleton.names), 3)
        points[..., :2] += PIXEL_CENTRE
        points[points[..., 2] == 0] = 0
        return {
            "point_rows": np.concatenate(self._rows),
            "points": points,
            "areas": np.concatenate(self._areas),
            "swap": swap(self._skeleton.names),
            "edges": np.array(self._skeleton.edges, np.int64).reshape(-1, 2),
        }


def points(more: Mapping[str, npt.NDArray[Any]], objects: slice, known: Objects) -> ObjectPoints:
    """The points of some objects of one picture, which are `known` otherwise."""
    rows, areas = more["point_rows"][objects], more["areas"][objects]
    found = np.zeros((len(rows), *more["points"].shape[1:]), np.float32)
    found[rows >= 0] = more["points"][rows[rows >= 0]]
    boxes = BOX_SHARE * (known.boxes[:, 2:] - known.boxes[:, :2]).prod(axis=1)
    return ObjectPoints(found, np.where(areas > 0, areas, boxes).astype(np.float32), more["swap"], more["edges"])


def digest(more: Mapping[str, npt.NDArray[Any]], objects: slice) -> int:
    """32 bits that change with the points of some objects, and with what a mirror image swaps."""
    rows = more["point_rows"][objects]
    found = 0
    for part in (more["swap"], more["areas"][objects], rows >= 0, more["points"][rows[rows >= 0]]):
        found = crc32(part.tobytes(), found)
    return found


def _name(category: Mapping[str, Any]) -> str:
    return str(category.get("name")).strip()


def _names(found: Any, file: Path) -> tuple[str, ...]:
    names = tuple(map(str, found)) if type(found) is list else ()
    if len(set(names)) < max(len(names), 1):
        raise DataError(
            f"{file}: found the keypoints {str(found)[:60]} of a category; must be a list of different names."
        )
    return names


def _edges(found: Any, count: int, file: Path) -> tuple[tuple[int, int], ...]:
    try:
        edges = tuple((int(first) - 1, int(second) - 1) for first, second in found or ())
    except (TypeError, ValueError):
        edges = ((-1, -1),)
    if not all(0 <= end < count for edge in edges for end in edge):
        raise DataError(f"{file}: found the skeleton {str(found)[:60]}; must be pairs of points in 1..{count}.")
    return edges


def _different(one: Skeleton, other: Skeleton) -> str:
    described = [
        f"'{each.category}' in {each.file} has {len(each.names)} ({listing(each.names)})" for each in (one, other)
    ]
    return (
        f"categories have different key points: {described[0]}, {described[1]}; a data set may have one kind of them."
        f" dataset.source.keypoints=[{one.category}] reads those of one category, and [] none."
    )
