"""From the records of pictures to the index."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vjo_train.data.index import Index
from vjo_train.data.sources.coco.annotations import DROPPED, Gathered, inside
from vjo_train.data.sources.coco.indexing import indexed
from vjo_train.data.sources.coco.outlines import FARTHEST, Outlines, known
from vjo_train.data.sources.named_classes import unknown_class
from vjo_train.data.sources.objects.placing import Placed
from vjo_train.data.sources.objects.records import EVERY, Picture, Thing
from vjo_train.data.sources.pictures import bytes_of
from vjo_train.data.sources.sizes import measured
from vjo_train.data.sources.voc.annotation import LONGEST_SIDE


class Gathering:
    """Reads the objects of pictures.

    Args:
        root: of the data set.
        placed: its pictures.
        classes: class names, in the order of their labels.
    """

    def __init__(self, root: Path, placed: Sequence[Placed], classes: Sequence[str]) -> None:
        self._root, self._placed, self._classes = root, placed, list(classes)
        self._labels = {name: label for label, name in enumerate(classes)}
        self._counts = Counter(thing.name for one in placed for thing in one.picture.things if thing.name != EVERY)
        self._faults: dict[int, str] = {}
        self._notes: list[tuple[int, str, str]] = []
        self._sizes = [self._size(row, one) for row, one in enumerate(placed)]

    def index(self) -> Index:
        """All of it."""
        outlines = Outlines()
        owners, labels, difficult, corners, places = [], [], [], [], []
        for row, one in enumerate(self._placed):
            for thing, label in self._known(row, one.picture):
                owners.append(row)
                labels.append(label)
                difficult.append(thing.difficult)
                places.append(thing)
                corners.append(self._outlined(outlines, row, one.picture, thing))
        found = outlines.arrays()
        for number in outlines.far:
            self._fault(owners[number], f"{places[number].where}: an outline is {FARTHEST:g} pixels away, or more")
        rows, crowd = np.array(owners, np.int64), np.array(difficult, np.bool_)
        boxes, kept = self._inside(np.array(corners, np.float64).reshape(-1, 4), rows, places)
        found |= {name: found[name][kept] for name in ("rings", "spans")}
        outlined = np.full(len(self._placed), bool(known(found).any()))
        outlined[rows[kept][~known(found) & ~crowd[kept]]] = False
        ids = [one.path for one in self._placed]
        gathered = Gathered(
            sizes=np.array(self._sizes, np.int32).reshape(-1, 2),
            counts=np.bincount(rows[kept], minlength=len(ids)),
            boxes=boxes[kept],
            labels=np.array(labels, np.int16)[kept],
            crowd=crowd[kept],
            annotated=np.ones(len(ids), np.bool_),
            outlined=outlined,
            outlines=found,
            pointed=np.zeros(len(ids), np.bool_),
            points={},
            faults=self._faults,
            notes=[note for note in self._notes if note[0] not in self._faults],
        )
        return indexed(self._classes, ids, ids, bytes_of(self._root, ids), gathered)

    def _fault(self, row: int, what: str) -> None:
        picture = self._placed[row].picture
        self._faults.setdefault(row, f"{picture.file}: {what.removeprefix(': ')}.")

    def _size(self, row: int, one: Placed) -> tuple[int, int]:
        """(height, width), from the picture where the file does not say it."""
        self._notes += [(row, *note) for note in one.picture.notes]
        if fault := one.fault or one.picture.fault:
            self._faults[row] = fault
            return 1, 1
        size = one.picture.size
        sound = size is not None and all(1 <= side <= LONGEST_SIDE for side in size)
        return size if size is not None and sound else measured(self._root / one.path, row, self._faults)

    def _known(self, row: int, picture: Picture) -> Iterator[tuple[Thing, int]]:
        """The objects of a picture with their labels; regions of every class once for each."""
        if row in self._faults:
            return
        for thing in picture.things:
            if thing.name == EVERY:
                yield from ((thing, label) for label in range(len(self._classes)))
            elif (label := self._labels.get(thing.name, 0 if self._only(thing.name) else -1)) >= 0:
                yield thing, label
            else:
                what = unknown_class(thing.name, self._counts, self._classes) if thing.name else self._nameless()
                self._fault(row, f"{thing.where}: {what}")

    def _only(self, name: str) -> bool:
        return not name and len(self._classes) == 1

    def _nameless(self) -> str:
        return f"an object without a class; there are {len(self._classes)} in dataset.classes, and must be one"

    def _outlined(self, outlines: Outlines, row: int, picture: Picture, thing: Thing) -> tuple[float, ...]:
        """Adds the outline of an object, and gives its box."""
        height, width = self._sizes[row]
        scale = (width, height) if picture.shares else (1, 1)
        outline = thing.outline
        if picture.shares and isinstance(outline, list):
            outline = [[value * scale[place % 2] for place, value in enumerate(ring)] for ring in outline]
        try:
            outlines.add(outline, (height, width))
        except ValueError as error:
            self._fault(row, f"{thing.where}: found {error}")
        if thing.box is None:
            return _around(outline)
        return tuple(value * scale[place % 2] for place, value in enumerate(thing.box))

    def _inside(
        self, corners: npt.NDArray[np.float64], rows: npt.NDArray[np.int64], things: Sequence[Thing]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """Boxes in their pictures with their corners in order, and which of them count."""
        for number in np.flatnonzero(~np.isfinite(corners).all(axis=1)).tolist():
            found = ", ".join(f"{value:g}" for value in corners[number])
            self._fault(int(rows[number]), f"{things[number].where}: found the box ({found}); must be finite numbers")
        low, high = np.minimum(corners[:, :2], corners[:, 2:]), np.maximum(corners[:, :2], corners[:, 2:])
        sides = np.array(self._sizes, np.float64).reshape(-1, 2)[rows][:, [1, 0, 1, 0]]
        boxes, changes = inside(np.concatenate([low, high], axis=1), sides)
        changes["swapped corners"] = (low != corners[:, :2]).any(axis=1) & ~changes[DROPPED]
        faulty = np.isin(rows, list(self._faults))
        for kind, these in changes.items():
            for number in np.flatnonzero(these & ~faulty).tolist():
                found = ", ".join(f"{value:g}" for value in corners[number])
                self._notes.append((int(rows[number]), kind, f"{things[number].where}: ({found})"))
        return boxes, ~(changes[DROPPED] | faulty)


def _around(outline: Mapping[str, object] | Sequence[Sequence[float]] | None) -> tuple[float, ...]:
    """Xyxy around polygons."""
    if not isinstance(outline, list) or not any(outline):
        return (math.nan,) * 4
    across = [value for ring in outline for value in ring[::2]]
    down = [value for ring in outline for value in ring[1::2]]
    return min(across), min(down), max(across), max(down)
