"""The entries of panoptic JSON, gathered into an index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
import numpy.typing as npt

from vjo_train.data.index import Index, table
from vjo_train.data.objects import Objects
from vjo_train.data.sources.coco.document import items
from vjo_train.data.sources.coco.layout import Part
from vjo_train.data.sources.pictures import bytes_of
from vjo_train.data.sources.voc.annotation import LONGEST_SIDE
from vjo_train.data.sources.voc.layout import shown
from vjo_train.errors import DataError
from vjo_train.types import IGNORE


def things(part: Part) -> dict[str, bool]:
    """Category name -> whether its objects are told apart, in the order of the ids.

    Raises:
        DataError: a category lacks its id, name or `isthing`.
    """
    return dict(_categories(part).values())


def _categories(part: Part) -> dict[int, tuple[str, bool]]:
    found: dict[int, tuple[str, bool]] = {}
    for number, category in enumerate(items(part.file, "categories")):
        key, name, thing = (category.get(field) for field in ("id", "name", "isthing"))
        if type(key) is not int or not isinstance(name, str) or thing not in (0, 1):
            raise DataError(
                f"{part.file}: categories[{number}] is {shown(str(category))}; must have an id, a name, and isthing 0"
                " or 1."
            )
        found[key] = (name.strip(), bool(thing))
    return dict(sorted(found.items()))


class _Segments(NamedTuple):
    """Of one image."""

    objects: Objects
    ids: list[int]
    """Of the segments in the PNG."""
    values: list[int]
    """Of each, in a map of classes: 0 background, k + 1 class k, 255 ignored."""
    numbers: list[int]
    """Of each, which object it is, from 1; 0 for stuff, crowds, and what is no class."""


class Read:
    """One part, read.

    Args:
        part: a split.
        names: the ids of its images.
        root: of the data set.
        labels: class name -> label.

    Raises:
        DataError: the file is broken.
    """

    def __init__(self, part: Part, names: Sequence[str], root: Path, labels: Mapping[str, int]) -> None:
        self.part, self.ids, self.root = part, list(names), root
        self.images = [part.picture(name) for name in part.names]
        self.sizes: list[tuple[int, int]] = []
        self.segments: dict[int, _Segments] = {}
        self.files: dict[int, str] = {}
        self.faults: dict[int, str] = {}
        self.things = {labels[name] for name, thing in things(part).items() if thing and name in labels}
        self._labels = {key: (labels.get(name, -1), thing) for key, (name, thing) in _categories(part).items()}
        rows = {}
        for row, image in enumerate(items(part.file, "images")):
            rows[image.get("id")] = row
            sides = image.get("height"), image.get("width")
            sound = all(type(side) is int and 1 <= side <= LONGEST_SIDE for side in sides)
            self.sizes.append((int(sides[0] or 0), int(sides[1] or 0)) if sound else (1, 1))
            if not sound:
                self._fault(row, f"found the width {sides[1]} and the height {sides[0]}; both must be whole numbers")
        folder = part.file.with_suffix("").relative_to(root).as_posix()
        for number, entry in enumerate(items(part.file, "annotations")):
            place, file = rows.get(entry.get("image_id")), entry.get("file_name")
            if place is None or not isinstance(file, str) or not isinstance(entry.get("segments_info"), list):
                raise DataError(
                    f"{part.file}: annotations[{number}] is of the image {str(entry.get('image_id'))[:40]}; must be of"
                    " one that 'images' lists, with file_name and segments_info."
                )
            self.files[place] = f"{folder}/{file}"
            self._take(place, entry["segments_info"])

    def _fault(self, row: int, what: str) -> None:
        self.faults.setdefault(row, f"{self.part.file}: image {shown(self.part.names[row])}: {what}.")

    def _take(self, row: int, entries: Sequence[Any]) -> None:
        height, width = self.sizes[row]
        boxes, labels, crowds = [], [], []
        ids, values, numbers = [], [], []
        for entry in entries:
            key = entry.get("category_id") if isinstance(entry, dict) else None
            known = self._labels.get(key) if isinstance(key, int) else None
            if known is None or type(entry.get("id")) is not int:
                return self._fault(row, f"has the segment {shown(str(entry))}; must have an id and a known category_id")
            label, thing = known
            crowd = bool(entry.get("iscrowd", 0))
            ids.append(entry["id"])
            values.append(IGNORE if crowd and label >= 0 else label + 1)
            box = _corners(entry.get("bbox"), width, height) if thing and label >= 0 else None
            if box is None:
                numbers.append(0)
                continue
            boxes.append(box)
            labels.append(label)
            crowds.append(crowd)
            numbers.append(0 if crowd else len(boxes))
        objects = Objects(
            np.array(boxes, np.float32).reshape(-1, 4), np.array(labels, np.int64), np.array(crowds, np.bool_)
        )
        self.segments[row] = _Segments(objects, ids, values, numbers)
        return None


def _corners(box: Any, width: int, height: int) -> list[float] | None:
    """[x, y, width, height] as corners within the picture; None where it has no area there."""
    if not isinstance(box, list) or len(box) != 4 or not all(isinstance(side, int | float) for side in box):
        return None
    left, top, across, down = box
    corners = [max(left, 0), max(top, 0), min(left + across, width), min(top + down, height)]
    return corners if corners[2] > corners[0] and corners[3] > corners[1] else None


def gathered(classes: Sequence[str], read: Sequence[Read]) -> Index:
    """The images of all parts, sorted by their ids, and their segments in the same order."""
    places = [(one, row) for one in read for row in range(len(one.ids))]
    places.sort(key=lambda place: place[0].ids[place[1]])
    none = _Segments(Objects.none(), [], [], [])
    segments = [one.segments.get(row, none) for one, row in places]
    there = np.array([row in one.segments for one, row in places], np.bool_)
    files = [one.files.get(row, "") for one, row in places]
    flat: dict[str, npt.NDArray[Any]] = {
        "segment_ids": np.array(list(chain.from_iterable(one.ids for one in segments)), np.int32),
        "segment_values": np.array(list(chain.from_iterable(one.values for one in segments)), np.int16),
        "segment_objects": np.array(list(chain.from_iterable(one.numbers for one in segments)), np.int16),
    }
    flags: npt.NDArray[np.bool_] = np.zeros(len(classes), np.bool_)
    flags[sorted(set().union(*(one.things for one in read)))] = True
    return table(
        classes=classes,
        ids=[one.ids[row] for one, row in places],
        images=[one.images[row] for one, row in places],
        image_bytes=[bytes_of(one.root, [one.images[row]])[0] for one, row in places],
        sizes=[one.sizes[row] for one, row in places],
        objects=[one.objects for one in segments],
        labelled={kind: there for kind in ("classes", "boxes", "semantic", "masks")},
        files={"semantic": files, "masks": files},
        faults={k: one.faults[row] for k, (one, row) in enumerate(places) if row in one.faults},
        by_image={"segment_digests": np.array([crc32(repr(one[1:]).encode()) for one in segments], np.uint32)},
        more={
            **flat,
            "segment_offsets": np.cumsum([0, *(len(one.ids) for one in segments)], dtype=np.int64),
            "things": flags,
        },
    )
