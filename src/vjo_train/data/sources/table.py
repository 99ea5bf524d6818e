"""A table of pictures and their classes: CSV, TSV or Parquet."""

from __future__ import annotations

import csv
import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from vjo_train.data.index import Index, table
from vjo_train.data.labels.base import Kind
from vjo_train.data.labels.category import Category
from vjo_train.data.labels.classes import Classes
from vjo_train.data.objects import Objects
from vjo_train.data.sources.base import Source
from vjo_train.data.sources.by_split import images_of, offered
from vjo_train.data.sources.parquet import ENDINGS, parquet_rows
from vjo_train.data.sources.pictures import stamp_of
from vjo_train.data.sources.sizes import measured
from vjo_train.data.sources.split_names import meant
from vjo_train.errors import DataError

log = logging.getLogger("vjo_train")

FLAGS = {"1": 1, "1.0": 1, "0": -1, "0.0": -1, "": 0, "-1": 0, "-1.0": 0}
"""What stands in a column of a class -> its flag: there, not there, unknown."""
_PATHS = ("path", "file", "filename", "file_name", "image", "image_path", "image_id")
_NAMES = ("label", "labels", "class", "classes", "category", "target", "tags")


@dataclass(frozen=True)
class Sheet:
    """What a table says.

    Attributes:
        pictures: [I] paths as they are written.
        splits: [I], empty where there is no such column.
        classes: the P class names.
        flags: [I, P] int8: 1 there, -1 not there, 0 unknown.
        faults: row -> what is wrong with it.
    """

    pictures: tuple[str, ...]
    splits: tuple[str, ...]
    classes: tuple[str, ...]
    flags: npt.NDArray[np.int8]
    faults: Mapping[int, str]


class Table(Source):
    """A row for each picture: its path, and a column of 0 and 1 for each class, or one column of class names.

    A picture is labelled for `classes` unless all of its classes are unknown: blank, or -1, as for the uncertain
    findings of radiographs; and for `category` where one class alone is a yes. Without a column of splits, the pictures
    are shared out among train, val and test, 8 : 1 : 1, by a hash of their paths.

    Args:
        file: the table, below the root.
        images: the folder that paths are below, below the root.
        path: column of the paths; None: the first that is called so, such as `path`, `file` or `image`.
        labels: columns of the classes; None: all that hold nothing but 0, 1, -1 and blanks.
        label: column of class names, in the place of `labels`; None: one that is called so, if there are no `labels`.
        separator: between several names in that column.
        split: column of the splits; None: `split`, if there is one.
    """

    kinds: tuple[Kind, ...] = (Classes(), Category())

    def __init__(
        self,
        *,
        file: str = "labels.csv",
        images: str = ".",
        path: str | None = None,
        labels: Sequence[str] | None = None,
        label: str | None = None,
        separator: str = ";",
        split: str | None = None,
    ) -> None:
        self.file, self.images, self.path, self.split_column = file, images, path, split
        self.labels, self.label, self.separator = None if labels is None else tuple(labels), label, separator

    def root(self, folder: Path) -> Path:
        if not (folder / self.file).is_file():
            raise DataError(f"dataset.source.file: found no {folder / self.file}; must be a CSV, TSV or Parquet file.")
        return folder

    def _sheet(self, root: Path) -> Sheet:
        file = root / self.file
        asked = (self.path, self.labels, self.label, self.separator, self.split_column)
        return read_sheet(file, file.stat().st_mtime_ns, *asked)

    def _parts(self, root: Path) -> dict[str, list[str]]:
        sheet = self._sheet(root)
        found: dict[str, list[str]] = {}
        for number, picture in enumerate(sheet.pictures):
            found.setdefault(sheet.splits[number] if sheet.splits else "", []).append(picture)
        return found

    def class_names(self, root: Path) -> list[str]:
        return list(self._sheet(root).classes)

    def splits(self, root: Path) -> list[str]:
        return offered(self._parts(root))

    def has_split(self, root: Path, split: str) -> bool:
        return len(meant(split, self.splits(root))) == 1

    def split(self, root: Path, split: str) -> list[str]:
        return images_of(self._parts(root), split, root / self.file)

    def stamp(self, root: Path) -> str:
        content = hashlib.sha256((root / self.file).read_bytes()).hexdigest()
        return f"{content} {stamp_of(root / self.images, sorted(self._sheet(root).pictures))}"

    def read_index(self, root: Path, classes: Sequence[str]) -> Index:
        sheet = self._sheet(root)
        order = np.argsort(np.asarray(sheet.pictures, np.str_), kind="stable")
        ids = [sheet.pictures[number] for number in order.tolist()]
        faults = {row: sheet.faults[number] for row, number in enumerate(order.tolist()) if number in sheet.faults}
        sizes = [measured(root / self.images / picture, row, faults, shown=True) for row, picture in enumerate(ids)]
        chosen = [sheet.classes.index(name) if name in sheet.classes else -1 for name in classes]
        flags = np.where(np.array(chosen) >= 0, sheet.flags[order][:, chosen], np.int8(0))
        paths = [root / self.images / picture for picture in ids]
        return table(
            classes=classes,
            ids=ids,
            images=[f"{self.images}/{picture}" for picture in ids],
            image_bytes=[path.stat().st_size if path.is_file() else -1 for path in paths],
            sizes=sizes,
            objects=[Objects.none() for _ in ids],
            labelled={"classes": (flags != 0).any(axis=1), "category": (flags == 1).sum(axis=1) == 1},
            faults=faults,
            by_image={"flags": flags},
        )

    def read(self, root: Path, index: Index, row: int, kind: str) -> Any:
        flags = index.by_image["flags"][row]
        return int(flags.argmax()) if kind == "category" else torch.from_numpy(flags.copy())


@lru_cache(8)
def read_sheet(
    file: Path,
    changed: int,
    path: str | None,
    labels: tuple[str, ...] | None,
    label: str | None,
    separator: str,
    split: str | None,
) -> Sheet:
    """Reads a table; the arguments are those of `Table`, and the time of the file's last change.

    Raises:
        DataError: it cannot be read, or lacks a column.
    """
    is_parquet = file.suffix.lower() in ENDINGS
    columns, rows = parquet_rows(file, separator) if is_parquet else _rows(file)
    path = _column(file, columns, path, _PATHS, "path")
    split = split if split is not None else next((name for name in columns if name.lower() == "split"), None)
    if labels is None and label is None:
        left = [name for name in columns if name not in (path, split)]
        labels = tuple(name for name in left if {row[name].strip() for row in rows} <= set(FLAGS) and rows) or None
    if labels is None:
        label = _column(file, columns, label, _NAMES, "label")
    for name in (*(labels or ()), *([split] if split else [])):
        _column(file, columns, name, (), "labels")
    log.info("%s: pictures in '%s', classes in %s.", file, path, ", ".join(labels) if labels else f"'{label}'")
    if labels is None:
        assert label is not None
        named = [[name.strip() for name in row[label].split(separator) if name.strip()] for row in rows]
        classes = tuple(sorted({name for names in named for name in names}))
        flags = [[0] * len(classes) if not own else [1 if name in own else -1 for name in classes] for own in named]
    else:
        classes, flags = labels, [[FLAGS.get(row[name].strip(), 0) for name in labels] for row in rows]
    pictures = tuple(row[path].strip() for row in rows)
    return Sheet(
        pictures=pictures,
        splits=tuple(row[split].strip() for row in rows) if split else (),
        classes=classes,
        flags=np.array(flags, np.int8).reshape(len(rows), len(classes)),
        faults=_faults(file, pictures, rows, labels or (), ("row", 1) if is_parquet else ("line", 2)),
    )


def _faults(
    file: Path,
    pictures: Sequence[str],
    rows: Sequence[Mapping[str, str]],
    labels: Sequence[str],
    count: tuple[str, int],
) -> dict[int, str]:
    """Row -> what is wrong with it; `count` is what rows are called in the file, and the number of the first."""
    word, start = count
    faults: dict[int, str] = {}
    seen: dict[str, int] = {}
    for number, (picture, row) in enumerate(zip(pictures, rows, strict=True)):
        line = number + start
        wrong = next((name for name in labels if row[name].strip() not in FLAGS), None)
        if wrong is not None:
            faults[number] = f"{file}: {word} {line}: found '{row[wrong][:40]}' for {wrong}; must be 0, 1, -1 or blank."
        if picture in seen:
            faults[number] = (
                f"{file}: {word} {line}: '{picture}' stands in {word} {seen[picture]} too; must be there once."
            )
        seen.setdefault(picture, line)
    return faults


def _rows(file: Path) -> tuple[list[str], list[dict[str, str]]]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read ({error}); must be a CSV or TSV file in UTF-8.") from error
    first = text.partition("\n")[0]
    delimiter = max("\t,;", key=first.count)
    reader = csv.DictReader(text.splitlines(), delimiter=delimiter, restval="")
    columns = list(reader.fieldnames or [])
    rows = [{name: row[name] or "" for name in columns} for row in reader]
    if not rows:
        raise DataError(f"{file}: found no rows below its first line; must list pictures.")
    return columns, rows


def _column(file: Path, columns: Sequence[str], name: str | None, likely: Sequence[str], key: str) -> str:
    """`name`, or the first column that is called as one of `likely`."""
    if name is None:
        name = next((column for word in likely for column in columns if column.strip().lower() == word), None)
    if name is None or name not in columns:
        what = f"no column '{name}'" if name else f"no column of the {key}"
        raise DataError(f"{file}: found {what}; its columns are {', '.join(columns)}; see dataset.source.{key}.")
    return name
