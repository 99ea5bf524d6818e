"""From the files of a data set in the devkit's layout to its index."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from vjo_train.data.decode import read_size
from vjo_train.data.index import Index, table
from vjo_train.data.objects import Objects
from vjo_train.data.sources.named_classes import unknown_class
from vjo_train.data.sources.voc import layout
from vjo_train.data.sources.voc.annotation import Annotation, read, strict
from vjo_train.data.sources.voc.mending import Counting, counting, mended, written_size
from vjo_train.errors import DataError

DROPPED = "dropped"
"""In `Index.more`, [I]: the numbers of the objects that were left out of an image, such as `2 7`; only where there are
any."""


class Reading:
    """What was found so far, by row; a picture without an annotation has no objects.

    Args:
        root: of the data set.
        ids: of its images, sorted.
        pictures: file names in `JPEGImages/` by stem.
    """

    def __init__(self, root: Path, ids: Sequence[str], pictures: Mapping[str, Sequence[str]]) -> None:
        self.root, self.ids = root, ids
        self.images = [f"{layout.IMAGES}/{pictures.get(name, [f'{name}.jpg'])[0]}" for name in ids]
        self.sizes = [(1, 1)] * len(ids)
        self.objects = [Objects.none()] * len(ids)
        self.dropped = [""] * len(ids)
        self.faults: dict[int, str] = {}
        self.notes: list[tuple[int, str, str]] = []
        self.annotations: dict[int, Annotation] = {}
        for row, name in enumerate(ids):
            if len(found := pictures.get(name, [])) > 1:
                self.faults[row] = f"{root / layout.IMAGES}: found {' and '.join(found)} for '{name}'; must be one."

    def read(self, annotated: set[str]) -> None:
        """Reads the annotation files, those of the images in `annotated`."""
        for row, name in enumerate(self.ids):
            if name in annotated:
                try:
                    self.annotations[row] = read(self.root / layout.ANNOTATIONS / f"{name}.xml")
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
        sound = {row: known for row, known in self.annotations.items() if row not in self.faults}
        for row, known in list(sound.items()):
            size = written_size(known)
            if size is None:
                self.measure(row)
                said = " x ".join(side or "none" for side in known.sides)
                self.notes.append((row, "size from the picture", f"its annotation says {said}"))
            else:
                self.sizes[row] = size
        sound = {row: known for row, known in sound.items() if row not in self.faults}
        how = self._counting(sound)
        for row, known in sound.items():
            labels = [numbers[name] for name in known.names]
            self.objects[row], dropped, changes = mended(known, labels, self.sizes[row], how)
            self.dropped[row] = " ".join(map(str, dropped))
            self.notes += [(row, kind, what) for kind, what in changes]

    def _counting(self, sound: Mapping[int, Annotation]) -> Counting:
        corners = np.asarray([box for known in sound.values() for box in known.corners], np.float32).reshape(-1, 4)
        sides = [self.sizes[row][::-1] for row, known in sound.items() for _ in known.corners]
        how, said = counting(corners, np.asarray(sides, np.int64).reshape(-1, 2))
        self.notes += [(-1, "counted from 0", said)] if said else []
        return how

    def measure(self, row: int) -> None:
        """Takes the size of an image from its picture."""
        try:
            self.sizes[row] = read_size(self.root / self.images[row])
        except DataError as error:
            self.faults.setdefault(row, str(error))

    def index(self, classes: Sequence[str], sizes: Mapping[str, int], masks: Mapping[str, Sequence[str]]) -> Index:
        """All of it.

        Args:
            classes: class names.
            sizes: file name of a picture -> its bytes.
            masks: kind of label -> [I] the file that holds it, or nothing.
        """
        annotated = np.isin(np.arange(len(self.ids)), [*self.annotations, *self.faults])
        return table(
            classes=classes,
            ids=self.ids,
            images=self.images,
            image_bytes=[sizes.get(Path(image).name, -1) for image in self.images],
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
            more={DROPPED: np.asarray(self.dropped, np.str_)} if any(self.dropped) else {},
        )
