"""The images and objects of annotation files, gathered into flat arrays."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vjo_train.data.sources.coco.document import items, start
from vjo_train.data.sources.coco.keypoints import BY_OBJECT, Points
from vjo_train.data.sources.coco.layout import Part
from vjo_train.data.sources.coco.outlines import FARTHEST, Outlines, known, numbers
from vjo_train.data.sources.voc.annotation import LONGEST_SIDE
from vjo_train.data.sources.voc.layout import listing, shown
from vjo_train.errors import DataError

ENOUGH = 8
"""Boxes that say whether a file has two corners for each."""
EDGE = 0.01
"""How far a box may leave the picture without a word, in pixels: numbers are rounded."""
DROPPED = "dropped box"
_SIDES = "[x, y, width, height]"
_ELSEWHERE = -1
"""The label of a category that the data set leaves out."""


@dataclass(frozen=True)
class Gathered:
    """I images, part after part in the order of their files, and N objects in the order of their images."""

    sizes: npt.NDArray[np.int32]
    """[I, 2] height and width."""
    counts: npt.NDArray[np.int64]
    """[I] objects."""
    boxes: npt.NDArray[np.float32]
    """[N, 4]."""
    labels: npt.NDArray[np.int16]
    """[N]."""
    crowd: npt.NDArray[np.bool_]
    """[N]."""
    annotated: npt.NDArray[np.bool_]
    """[I]: its objects are known."""
    outlined: npt.NDArray[np.bool_]
    """[I]: the pixels of its objects are known, but perhaps of crowds."""
    outlines: dict[str, npt.NDArray[Any]]
    """See `Outlines.arrays`."""
    pointed: npt.NDArray[np.bool_]
    """[I]: the key points of its objects are known."""
    points: dict[str, npt.NDArray[Any]]
    """See `Points.arrays`."""
    faults: dict[int, str]
    """Image -> what is wrong with it."""
    notes: list[tuple[int, str, str]]
    """Image, kind of change, and what was changed."""


def categories(part: Part) -> dict[Any, str]:
    """The names of the categories of a file by their ids, in the order of the ids.

    Raises:
        DataError: one has no id or name, or an id is there twice.
    """
    names: dict[Any, str] = {}
    for number, category in enumerate(items(part.file, "categories")):
        key, name = category.get("id"), category.get("name")
        if type(key) is not int or not isinstance(name, str) or not name.strip():
            raise DataError(f"{part.file}: categories[{number}] is {shown(str(category))}; must have an id and a name.")
        if key in names:
            raise DataError(f"{part.file}: the category id {key} is there twice; each may name one category.")
        names[key] = name.strip()
    return dict(sorted(names.items()))


class Gathering:
    """Reads one part after the other.

    Args:
        labels: class name -> label; objects of other categories are left out.
        pointed: names of the classes whose key points are read.
        corners: a bbox is x1, y1, x2, y2; else x, y, width, height.
    """

    def __init__(self, labels: Mapping[str, int], pointed: Sequence[str], corners: bool = False) -> None:
        self._classes, self._as_corners = labels, corners
        self._where: list[tuple[Part, str]] = []
        self._sizes, self._annotated, self._drawn = array("i"), bytearray(), bytearray()
        self._ids, self._points, self._pointed = array("q"), Points(pointed), bytearray()
        self._owners, self._labels, self._boxes, self._crowd = array("i"), array("h"), array("d"), bytearray()
        self._outlines = Outlines()
        self.faults: dict[int, str] = {}
        self._notes: list[tuple[int, str, str]] = []

    def read(self, part: Part) -> None:
        """Adds the images and objects of a part.

        Raises:
            DataError: its file is broken, or has objects of images that it does not list.
        """
        first, objects = len(self._where), len(self._owners)
        rows = self._read_images(part)
        there = start(part.file, "annotations") is not None
        drawn = self._read_objects(part, rows) if there else False
        pointed = bytearray(len(self._where) - first)
        if there:
            for image in self._points.read(part, np.array(self._ids[objects:], np.int64), rows, self._fault):
                if image in rows:
                    pointed[rows[image] - first] = True
        self._pointed += pointed
        self._annotated += bytes([there]) * (len(self._where) - first)
        self._drawn += bytes([drawn]) * (len(self._where) - first)

    def _fault(self, row: int, what: str) -> None:
        part, name = self._where[row]
        self.faults.setdefault(row, f"{part.file}: image {shown(name)}: {what}.")

    def _read_images(self, part: Part) -> dict[Any, int]:
        """Image id -> row."""
        rows: dict[Any, int] = {}
        for image, name in zip(items(part.file, "images"), part.names, strict=True):
            row, key = len(self._where), image.get("id")
            self._where.append((part, name))
            sides: list[Any] = [image.get(side) for side in ("height", "width")]
            sound = all(type(side) is int and 1 <= side <= LONGEST_SIDE for side in sides)
            self._sizes.extend(sides if sound else (1, 1))
            if not sound:
                what = f"found the width {sides[1]} and the height {sides[0]}"
                self._fault(row, f"{what}; both must be whole numbers in 1..{LONGEST_SIDE}")
            if name.startswith("/") or ".." in name.split("/"):
                self._fault(row, "found a path out of the folder of pictures; must lie below it")
            if not isinstance(key, int | str):
                self._fault(row, f"found the id {str(key)[:20]}; must be a whole number or a text")
            elif rows.setdefault(key, row) != row:
                self._fault(row, f"found the id {key}, which an image before it has; each must have its own")
        return rows

    def _read_objects(self, part: Part, rows: Mapping[Any, int]) -> bool:
        """Whether the file says anything of the pixels of objects."""
        names = categories(part)
        labels = {key: self._classes.get(name, _ELSEWHERE) for key, name in names.items()}
        drawn, strangers = False, 0
        stranger: dict[str, Any] = {}
        for found in items(part.file, "annotations"):
            try:
                row, label = rows.get(found.get("image_id")), labels.get(found.get("category_id"))
            except TypeError:  # a list cannot be an id
                row = label = None
            drawn = drawn or bool(found.get("segmentation"))
            if row is None:
                strangers, stranger = strangers + 1, stranger or found
            elif label is None:
                what = f"annotation {found.get('id')} has the unknown category id {found.get('category_id')}"
                self._fault(row, f"{what}; allowed are {listing(list(map(str, names)))}")
            elif label != _ELSEWHERE:
                self._add(row, label, found)
        if strangers:
            raise DataError(
                f"{part.file}: annotation {stranger.get('id')} is of the image id {stranger.get('image_id')!r:.40},"
                f" which 'images' does not list; so are {strangers} annotations in all."
            )
        return drawn

    def _add(self, row: int, label: int, found: dict[str, Any]) -> None:
        box, crowd = found.get("bbox"), found.get("iscrowd", 0)
        try:
            sides = numbers(box)
        except ValueError:
            sides = array("d")
        if len(sides) != 4:
            what = f"annotation {found.get('id')} has the bbox {str(box)[:60]}"
            return self._fault(row, f"{what}; must be {'[x1, y1, x2, y2]' if self._as_corners else _SIDES}")
        if crowd not in (0, 1):
            return self._fault(row, f"annotation {found.get('id')} has iscrowd {str(crowd)[:20]}; must be 0 or 1")
        size = self._sizes[2 * row], self._sizes[2 * row + 1]
        try:
            self._outlines.add(found.get("segmentation"), size)
        except ValueError as error:
            self._fault(row, f"annotation {found.get('id')} has {error}")
        self._owners.append(row)
        self._ids.append(found["id"] if type(found.get("id")) is int else -1)
        self._labels.append(label)
        self._boxes.extend(sides)
        self._crowd.append(bool(crowd))
        return None

    def finish(self) -> Gathered:
        """All that has been read."""
        sizes = np.frombuffer(self._sizes, np.int32).reshape(-1, 2)
        owners, crowd = np.array(self._owners, np.int64), np.frombuffer(bytes(self._crowd), np.bool_)
        outlines = self._outlines.arrays()
        for number in self._outlines.far:
            self._fault(
                int(owners[number]), f"a polygon leaves it by more than {FARTHEST:g} pixels; must be in its pixels"
            )
        boxes, kept = self._clipped(sizes, owners)
        order = np.flatnonzero(kept)[np.argsort(owners[kept], kind="stable")]
        owners, crowd = owners[order], crowd[order]
        outlines |= {name: outlines[name][order] for name in ("rings", "spans")}
        points = self._points.arrays()
        points |= {name: points[name][order] for name in BY_OBJECT if points}
        outlined = np.frombuffer(bytes(self._drawn), np.bool_).copy()
        outlined[owners[~known(outlines) & ~crowd]] = False
        return Gathered(
            sizes=sizes,
            counts=np.bincount(owners, minlength=len(sizes)),
            boxes=boxes[order],
            labels=np.array(self._labels, np.int16)[order],
            crowd=crowd,
            annotated=np.frombuffer(bytes(self._annotated), np.bool_),
            outlined=outlined,
            outlines=outlines,
            pointed=np.frombuffer(bytes(self._pointed), np.bool_),
            points=points,
            faults=self.faults,
            notes=self._notes,
        )

    def _clipped(
        self, sizes: npt.NDArray[np.int32], owners: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """[N, 4] xyxy in their pictures, and which of them are sound and have an area."""
        table = np.array(self._boxes, np.float64).reshape(-1, 4)
        corners = np.concatenate([table[:, :2], table[:, 2:] + (0 if self._as_corners else table[:, :2])], axis=1)
        sides = sizes[owners][:, [1, 0, 1, 0]].astype(np.float64)
        for number in np.flatnonzero(~np.isfinite(corners).all(axis=1)):
            self._fault(int(owners[number]), f"found the bbox {table[number].tolist()}; must be finite numbers")
        clipped, changes = inside(corners, sides)
        likely = not self._as_corners and len(table) >= ENOUGH and _are_corners(table, sides)
        if likely and changes["clipped box"].any():
            said = "every bbox is one as x1, y1, x2, y2, and some leave their pictures as x, y, width, height"
            how = "as which COCO has them and they are read; dataset.source.box=xyxy reads corners"
            self._notes.append((-1, "perhaps corners", f"{said}, {how}"))
        faulty = np.isin(owners, list(self.faults))
        for kind, these in changes.items():
            for number in np.flatnonzero(these & ~faulty):
                self._notes.append((int(owners[number]), kind, f"found the bbox {table[number].tolist()}"))
        return clipped, ~(changes[DROPPED] | faulty)


def _are_corners(table: npt.NDArray[np.float64], sides: npt.NDArray[np.float64]) -> bool:
    """Whether all boxes [N, 4] would lie in their pictures, were they two corners."""
    return bool(((table[:, 2:] > table[:, :2]) & (table[:, 2:] <= sides[:, :2] + EDGE)).all())


def inside(
    corners: npt.NDArray[np.float64], sides: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float32], dict[str, npt.NDArray[np.bool_]]]:
    """Boxes cut to their pictures.

    Args:
        corners: [N, 4] xyxy.
        sides: [N, 4] width, height, width, height of their pictures.

    Returns:
        [N, 4], and kind of change -> [N] whether a box is changed so; a `DROPPED` one has no area in its picture.
    """
    clipped = np.minimum(np.maximum(corners, 0), sides).astype(np.float32)
    empty = ~((clipped[:, 2] > clipped[:, 0]) & (clipped[:, 3] > clipped[:, 1]))
    beyond = (np.maximum(-corners, corners - sides) > EDGE).any(axis=1)
    return clipped, {"clipped box": beyond & ~empty, DROPPED: empty}
