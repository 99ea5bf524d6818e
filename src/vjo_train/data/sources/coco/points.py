"""Keypoints of objects, from the file of the objects or from one of its own beside it."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vjo_train.data.sources.coco.document import items, start
from vjo_train.errors import DataError

INSTANCES, OWN = "instances_", "person_keypoints_"
"""How COCO's names of files begin that hold objects, and their points."""


def file_of_points(file: Path) -> Path | None:
    """`person_keypoints_<split>.json` beside `instances_<split>.json`; None where there is none."""
    if not file.name.startswith(INSTANCES):
        return None
    own = file.with_name(OWN + file.name.removeprefix(INSTANCES))
    return own if own.is_file() and start(own, "annotations") is not None else None


class PointTable:
    """Gathers the points of objects, one after the other.

    Args:
        classes: names of the classes; categories of other names are left out.
    """

    def __init__(self, classes: Collection[str]) -> None:
        self._classes = set(classes)
        self.names: list[str] = []
        """K names, once a category has them."""
        self._whose = ""
        self._owners, self._values = array("i"), array("f")

    def take_names(self, file: Path) -> set[int]:
        """Reads the names of the points of a file's categories; returns the ids of those categories.

        Raises:
            DataError: two of them have other points than each other.
        """
        ids = set()
        for category in items(file, "categories"):
            names, whose = category.get("keypoints"), str(category.get("name")).strip()
            if not isinstance(names, list) or not names or whose not in self._classes:
                continue
            if self.names and list(map(str, names)) != self.names:
                raise DataError(
                    f"{file}: {whose} has {len(names)} keypoints, and {self._whose} {len(self.names)} of other names;"
                    " name one of them in dataset.classes, or give the head of keypoints a data set of its own."
                )
            self.names, self._whose = list(map(str, names)), whose
            ids.add(category["id"])
        return ids

    def add(self, number: int, values: Any) -> None:
        """The points of an object, as x, y, visibility after each other.

        Raises:
            ValueError: says what was found and what must be.
        """
        wanted = 3 * len(self.names)
        if not isinstance(values, list) or len(values) != wanted:
            found = f"{len(values)} numbers" if isinstance(values, list) else str(values)[:40]
            raise ValueError(f"keypoints of {found}; must be {wanted}: x, y and 0, 1 or 2 of {len(self.names)} points")
        if not all(isinstance(value, int | float) for value in values) or not {*values[2::3]} <= {0, 1, 2}:
            raise ValueError(f"keypoints {str(values)[:60]}; must be x, y and 0, 1 or 2 of each")
        self._owners.append(number)
        self._values.extend(values)

    def arrays(self, places: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[Any]]:
        """The table by the objects' last places; none where no category has points.

        Args:
            places: [N] the last place of every object that was read, -1 for those that are left out.
        """
        if not self.names:
            return {}
        owners = places[np.frombuffer(self._owners, np.int32)] if len(self._owners) else np.empty(0, np.int64)
        points = np.array(self._values, np.float32).reshape(-1, len(self.names), 3)
        order = np.argsort(owners, kind="stable")[(owners < 0).sum() :]
        return {
            "point_objects": owners[order].astype(np.int64),
            "points": points[order],
            "point_swaps": mirrored(self.names),
        }


def mirrored(names: Sequence[str]) -> npt.NDArray[np.int64]:
    """[K]: which point is which in a mirror image: `left_eye` is `right_eye`, and others are themselves."""
    places = {name: place for place, name in enumerate(names)}
    return np.array([places.get(_other_side(name), place) for place, name in enumerate(names)], np.int64)


def _other_side(name: str) -> str:
    for one, other in (("left", "right"), ("Left", "Right"), ("LEFT", "RIGHT")):
        if one in name:
            return name.replace(one, other)
        if other in name:
            return name.replace(other, one)
    return name


def points_of(more: dict[str, npt.NDArray[Any]], objects: slice) -> npt.NDArray[np.float32]:
    """[n, K, 3] of the objects of an image; 0 for those without."""
    owners, points = more["point_objects"], more["points"]
    first, last = np.searchsorted(owners, [objects.start, objects.stop])
    found = np.zeros((objects.stop - objects.start, *points.shape[1:]), np.float32)
    found[owners[first:last] - objects.start] = points[first:last]
    return found
