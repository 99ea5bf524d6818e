"""A table of pictures and their classes: CSV, TSV or Parquet."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from vjo_train.data.index import Index, table
from vjo_train.data.labels.base import Kind
from vjo_train.data.labels.category import Category
from vjo_train.data.labels.classes import Classes
from vjo_train.data.labels.numbers import Numbers
from vjo_train.data.objects import Objects
from vjo_train.data.sources.by_split import BySplit, images_of
from vjo_train.data.sources.objects.finding import Finder
from vjo_train.data.sources.pictures import bytes_of, stamp_of
from vjo_train.data.sources.sheet import Asked, Repeated, Sheet
from vjo_train.data.sources.sheets import read_sheets, tables
from vjo_train.data.sources.sizes import measured
from vjo_train.errors import DataError

GROUPS = "groups"
"""In `Index.more`: [I], what each picture belongs to."""


class Table(BySplit):
    """A row for each picture: its path, a column of 0 and 1 for each class, or one of class names, and numbers.

    A picture is labelled for `classes` unless all of its classes are unknown: blank, or -1, as for the uncertain
    findings of radiographs; for `category` where one class alone is a yes; and for `numbers` where one is there. Names
    of classes and of numbers together are the classes of the data set. Without a column of splits, the pictures
    are shared out among train, val and test, 8 : 1 : 1, by a hash of their paths.

    Args:
        file: the table, below the root; a pattern for several, whose names may say their splits, such as
            `*_labels.csv`; or with `{split}` for the name of the split, such as `{split}.csv`.
        images: the folder that paths are below, below the root.
        path: column of the paths; None: the first that is called so, such as `path`, `file` or `image`. A name without
            folder or ending is looked for below `images`.
        labels: columns of the classes; None: all that hold nothing but 0, 1, -1 and blanks.
        label: column of class names, in the place of `labels`; None: one that is called so, if there are no `labels`.
        separator: between several names in that column; None: `;` or `|`, where there is one.
        numbers: columns of numbers, such as an age; blanks are unknown.
        split: column of the splits; None: `split`, if there is one.
        group: column of what pictures belong to, such as a patient: no split separates those with the same text there.
        repeated: of a picture in several rows: `error`; `any`: a class is there where any row names it; or `vote`:
            where most rows say so, as of several readers of a radiograph, a draw is unknown. Numbers are their mean.
    """

    kinds: tuple[Kind, ...] = (Classes(), Category(), Numbers())

    def __init__(
        self,
        *,
        file: str = "labels.csv",
        images: str = ".",
        path: str | None = None,
        labels: Sequence[str] | None = None,
        label: str | None = None,
        separator: str | None = None,
        numbers: Sequence[str] | None = None,
        split: str | None = None,
        group: str | None = None,
        repeated: Repeated = "error",
    ) -> None:
        self.file, self.images, self.path, self.split_column, self.group_column = file, images, path, split, group
        self.labels, self.label, self.separator = None if labels is None else tuple(labels), label, separator
        self.numbers, self.repeated = tuple(numbers or ()), repeated

    def root(self, folder: Path) -> Path:
        if not tables(folder, self.file):
            raise DataError(f"dataset.source.file: found no {folder / self.file}; must be a CSV, TSV or Parquet file.")
        return folder

    def _sheet(self, root: Path) -> Sheet:
        columns = self.split_column, self.group_column
        asked = Asked(self.path, self.labels, self.label, self.separator, self.numbers, *columns, self.repeated)
        return read_sheets(root, self.file, asked)

    def _parts(self, root: Path) -> dict[str, list[str]]:
        sheet = self._sheet(root)
        found: dict[str, list[str]] = {}
        for number, picture in enumerate(sheet.pictures):
            found.setdefault(sheet.splits[number] if sheet.splits else "", []).append(picture)
        return found

    def class_names(self, root: Path) -> list[str]:
        sheet = self._sheet(root)
        return [*sheet.classes, *sheet.columns]

    def class_names_of(self, root: Path, kind: str) -> list[str]:
        sheet = self._sheet(root)
        if kind == "numbers" and not sheet.columns:
            raise DataError(
                f"dataset.source.numbers: names no columns of {root / self.file}; give some, such as [age]."
            )
        return list(sheet.columns if kind == "numbers" else sheet.classes)

    def split(self, root: Path, split: str) -> list[str]:
        return images_of(self._parts(root), split, root / self.file)

    def stamp(self, root: Path) -> str:
        files = sorted(tables(root, self.file))
        content = hashlib.sha256(b"".join(file.name.encode() + file.read_bytes() for file in files)).hexdigest()
        return f"{content} {stamp_of(root, self._files(root, sorted(self._sheet(root).pictures)))}"

    def _files(self, root: Path, pictures: Sequence[str]) -> list[str]:
        """The file of each picture, below the root: as it is written, or the only one of that name."""
        files = [f"{self.images}/{picture}" for picture in pictures]
        there = [os.path.isfile(root / file) for file in files]  # a name that no system can hold is none
        if all(there):
            return files
        finder = Finder(root, self.images)
        likely = [
            [] if known else finder.find(name, self.images, "") for name, known in zip(pictures, there, strict=True)
        ]
        return [found[0] if len(found) == 1 else file for file, found in zip(files, likely, strict=True)]

    def read_index(self, root: Path, classes: Sequence[str]) -> Index:
        sheet = self._sheet(root)
        order = np.argsort(np.asarray(sheet.pictures, np.str_), kind="stable")
        ids = [sheet.pictures[number] for number in order.tolist()]
        faults = {row: sheet.faults[number] for row, number in enumerate(order.tolist()) if number in sheet.faults}
        images = self._files(root, ids)
        sizes = [measured(root / picture, row, faults, shown=True) for row, picture in enumerate(images)]
        flags = _chosen(sheet.flags[order], sheet.classes, classes, np.int8(0))
        numbers = _chosen(sheet.numbers[order], sheet.columns, classes, np.float32(np.nan))
        return table(
            classes=classes,
            ids=ids,
            images=images,
            image_bytes=bytes_of(root, images),
            sizes=sizes,
            objects=[Objects.none() for _ in ids],
            labelled={
                "classes": (flags != 0).any(axis=1),
                "category": (flags == 1).sum(axis=1) == 1,
                "numbers": np.isfinite(numbers).any(axis=1),
            },
            faults=faults,
            notes=[(-1, "columns", line) for line in sheet.said],
            by_image={"flags": flags, "numbers": numbers},
            more={GROUPS: np.asarray(sheet.groups, np.str_)[order]} if sheet.groups else {},
        )

    def groups(self, index: Index) -> npt.NDArray[np.str_] | None:
        return index.more.get(GROUPS)

    def read(self, root: Path, index: Index, row: int, kind: str) -> Any:
        if kind == "numbers":
            return torch.from_numpy(index.by_image["numbers"][row].copy())
        flags = index.by_image["flags"][row]
        return int(flags.argmax()) if kind == "category" else torch.from_numpy(flags.copy())


def _chosen(
    values: npt.NDArray[Any], names: Sequence[str], wanted: Sequence[str], unknown: np.generic
) -> npt.NDArray[Any]:
    """[I, P] by `names` -> [I, C] by `wanted`; unknown where a name has no column."""
    places = np.array([names.index(name) if name in names else len(names) for name in wanted], np.int64)
    return np.concatenate([values, np.full((len(values), 1), unknown)], axis=1)[:, places]
