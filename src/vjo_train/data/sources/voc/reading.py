"""From the files of a data set in the devkit's layout to its index."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from vjo_train.data.index import Index, table
from vjo_train.data.objects import Objects
from vjo_train.data.sources.named_classes import unknown_class
from vjo_train.data.sources.sizes import measured
from vjo_train.data.sources.voc import layout
from vjo_train.data.sources.voc.annotation import Annotation, difficult, read, strict
from vjo_train.data.sources.voc.layout import shown
from vjo_train.data.sources.voc.mending import DROPPED_BOX, as_written, counting, mended, written_size
from vjo_train.errors import DataError

DROPPED = "dropped"
"""In `Index.by_image`, [I]: the numbers of the objects that were left out of an image, such as `2 7`; only where there
are any."""


class Reading:
    """What was found so far, by row; a picture without an annotation has no objects.

    Args:
        root: of the data set.
        ids: of its images, sorted.
        pictures: files in the folder of the pictures by id.
        images: the folder of the pictures, with its slash; nothing where ids begin with it.
        annotations: that of the annotations.
    """

    def __init__(
        self,
        root: Path,
        ids: Sequence[str],
        pictures: Mapping[str, Sequence[str]],
        images: str = f"{layout.IMAGES}/",
        annotations: str = f"{layout.ANNOTATIONS}/",
    ) -> None:
        self.root, self.ids, self.folder, self.annotation_folder = root, ids, images, annotations
        self.images = [f"{images}{pictures.get(name, [f'{name}.jpg'])[0]}" for name in ids]
        self.sizes = [(1, 1)] * len(ids)
        self.objects = [Objects.none()] * len(ids)
        self.dropped = [""] * len(ids)
        self.faults: dict[int, str] = {}
        self.notes: list[tuple[int, str, str]] = []
        self.annotations: dict[int, Annotation] = {}
        for row, name in enumerate(ids):
            if len(found := pictures.get(name, [])) > 1:
                self.faults[row] = f"{root / images}: found {' and '.join(found)} for '{name}'; must be one."

    def read(self, annotated: set[str]) -> None:
        """Reads the annotation files, those of the images in `annotated`."""
        for row, name in enumerate(self.ids):
            if name in annotated:
                try:
                    self.annotations[row] = read(self.root / f"{self.annotation_folder}{name}.xml")
                except DataError as error:
                    self.faults.setdefault(row, str(error))

    def check_classes(self, classes: Sequence[str]) -> None:
        """Finds fault with annotations that name other classes."""
        counts = Counter(name for known in self.annotations.values() for name in known.names)
        if counts.keys() <= set(classes):
            return
        for row, known in self.annotations.items():
            for number, name in enumerate(known.names, 1):
                if name not in classes:
                    what = unknown_class(name, counts, classes)
                    self.faults.setdefault(row, f"{known.path}: object {number}: {what}")

    def take_as_written(self, numbers: Mapping[str, int]) -> None:
        """Boxes and sizes as the devkit writes them; finds fault with others."""
        for row, known in self.annotations.items():
            if row not in self.faults:
                try:
                    self.sizes[row], self.objects[row] = strict(known, numbers)
                except DataError as error:
                    self.faults[row] = str(error)

    def mend(self, numbers: Mapping[str, int]) -> None:
        """Boxes and sizes as they are meant; see `mending`."""
        for row, known in self.annotations.items():
            if row in self.faults:
                continue
            size = written_size(known)
            if size is None:
                self.measure(row)
                said = " x ".join(side or "none" for side in known.sides)
                self.notes.append((row, "size from the picture", f"its annotation says {said}"))
            else:
                self.sizes[row] = size
        self._mend_boxes({row: known for row, known in self.annotations.items() if row not in self.faults}, numbers)

    def _mend_boxes(self, sound: Mapping[int, Annotation], numbers: Mapping[str, int]) -> None:
        """The objects of all `sound` annotations at once, by row."""
        places = [(row, number) for row, known in sound.items() for number in range(len(known.names))]
        corners = np.asarray([box for known in sound.values() for box in known.corners], np.float32).reshape(-1, 4)
        sides = np.asarray([self.sizes[row][::-1] for row, _ in places], np.int64).reshape(-1, 2)
        how, said = counting(corners, sides)
        self.notes += [(-1, "counted from 0", said)] if said else []
        boxes, changes = mended(corners, sides, how)
        start = 0
        for row, known in sound.items():
            own = slice(start, start := start + len(known.names))
            labels, kept = np.asarray([numbers[name] for name in known.names], np.int64), ~changes[DROPPED_BOX][own]
            self.objects[row] = Objects(boxes[own][kept], labels[kept], difficult(known)[kept])
            self.dropped[row] = " ".join(str(number + 1) for number in np.nonzero(~kept)[0])
        for kind, changed in changes.items():
            found = [places[place] for place in np.nonzero(changed)[0]]
            self.notes += [(row, kind, as_written(sound[row], number, self.sizes[row])) for row, number in found]
        odd = [(row, number) for row, number in places if sound[row].flags[number] not in ("0", "1")]
        self.notes += [
            (row, "flag read as 0", f"object {number + 1}: difficult {shown(sound[row].flags[number])}")
            for row, number in odd
        ]

    def measure(self, row: int) -> None:
        """Takes the size of an image from its picture."""
        self.sizes[row] = measured(self.root / self.images[row], row, self.faults)

    def index(self, classes: Sequence[str], sizes: Mapping[str, int], masks: Mapping[str, Sequence[str]]) -> Index:
        """All of it.

        Args:
            classes: class names.
            sizes: file of a picture, in its folder -> its bytes.
            masks: kind of label -> [I] the file that holds it, or nothing.
        """
        annotated = np.isin(np.arange(len(self.ids)), [*self.annotations, *self.faults])
        return table(
            classes=classes,
            ids=self.ids,
            images=self.images,
            image_bytes=[sizes.get(image.removeprefix(self.folder), -1) for image in self.images],
            sizes=self.sizes,
            objects=self.objects,
            labelled={
                **{kind: [bool(path) for path in paths] for kind, paths in masks.items()},
                "classes": annotated,
                "boxes": annotated,
            },
            files=masks,
            faults=dict(sorted(self.faults.items())),
            notes=[note for note in self.notes if note[0] not in self.faults],
            by_image={DROPPED: np.asarray(self.dropped, np.str_)} if any(self.dropped) else {},
        )
