"""A table of boxes: CSV with a row for each, or JSON that says the same."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from vjo_train.data.sources.objects.columns import Columns, columns_of, is_yes
from vjo_train.data.sources.objects.format_files import asked_files, format_files
from vjo_train.data.sources.objects.json_rows import json_rows
from vjo_train.data.sources.objects.records import Picture, Read, Thing, find_shares
from vjo_train.data.sources.objects.shapes import of_corners, of_sides
from vjo_train.data.sources.objects.signs import box_columns, delimiter, headless
from vjo_train.data.sources.objects.source import ObjectFiles
from vjo_train.data.sources.split_names import split_in, split_of_file
from vjo_train.errors import DataError


class BoxTable(ObjectFiles):
    """A row for each box, as of TensorFlow, Open Images, RetinaNet and many contests; columns by their names.

    Boxes are xmin, ymin, xmax, ymax, or x, y, width, height, or a list of these in one column, in pixels, whose first
    one begins at 0; where none of a table is above 1, they are shares of the picture. A row without numbers says that
    nothing is there. A table without a first line of names has a path, x1, y1, x2, y2 and a class, or, as Udacity's, a
    number before the class. JSON is read as `json_rows` has it.

    Args:
        file: the table, below the root, or a pattern for several, such as `*_labels.csv`; None: all CSV and JSON files
            that hold boxes. Their names or folders may say the split.
        images: the folder that pictures are looked for in, below the root.
        path: column of the pictures; None: the first that is called so, such as `filename` or `ImageID`.
        label: column of the classes; None: the first that is called so; without one, all boxes are of one class.
        names: file of `class,name` below the root, where the column holds codes, as of Open Images; None: if there is
            `class-descriptions-boxable.csv`, that.
    """

    what = "CSV file, or JSON list, with columns of boxes, such as filename, class, xmin, ymin, xmax, ymax"
    remedy = "dataset.source.file takes some of the files, by a path or a pattern"

    def __init__(
        self,
        *,
        file: str | None = None,
        images: str = ".",
        path: str | None = None,
        label: str | None = None,
        names: str | None = None,
    ) -> None:
        super().__init__(images=images)
        self.file, self.path, self.label, self.names = file, path, label, names

    def files(self, root: Path) -> list[Path]:
        if self.file is not None:
            return asked_files(root, self.file)
        return format_files(root, (".csv", ".json"), self._is_table)

    def _is_table(self, file: Path) -> bool:
        return box_columns(file, self.path, self.label) is not None

    def records(self, root: Path, files: Sequence[Path]) -> Read:
        names = self._names(root)
        pictures = [picture for file in files for picture in self._table(root, file, names)]
        return Read(pictures, list(dict.fromkeys(names.values())) if names else ())

    def _names(self, root: Path) -> dict[str, str]:
        """Code of a class -> its name."""
        file = root / (self.names or "class-descriptions-boxable.csv")
        if not file.is_file() and self.names is None:
            return {}
        rows = [row for row in _rows(file) if len(row) == 2]
        return {code.strip(): name.strip() for code, name in rows}

    def _table(self, root: Path, file: Path, names: Mapping[str, str]) -> list[Picture]:
        rows = _rows(file)
        bare = headless(rows[0]) if rows else ()
        header = bare or (rows[0] if rows else [])
        for key, name in (("path", self.path), ("label", self.label)):
            if name is not None and name not in header:
                said = f"found no column '{name}'; it has {', '.join(header)}"
                raise DataError(f"{file}: {said}; see dataset.source.{key}.")
        columns = columns_of(header, {"path": self.path, "label": self.label})
        if columns is None:
            raise DataError(f"{file}: found the columns {', '.join(header)[:200]}; must have a picture and a box.")
        columns, said = _in_order(file, columns, header, rows)
        found: dict[tuple[str, str], Picture] = {}
        folder = split_of_file(file, root)
        word, before = ("row", 1) if file.suffix.lower() == ".json" else ("line", 0)
        for line, values in enumerate(rows, 1):
            if (line > 1 or bare) and any(map(str.strip, values)):
                row = dict(zip(header, [*values, *[""] * len(header)], strict=False))
                split = split_in(row[columns.split]) if columns.split else folder
                name = row[columns.picture].strip()
                picture = found.setdefault((split, name), Picture(name, file, split, _size(row, columns)))
                _add(picture, row, columns, names, f"{word} {line - before}")
        pictures = list(found.values())
        if said and pictures:
            pictures[0].notes.append(("columns in their order", said))
        find_shares(pictures)
        return pictures


def _in_order(
    file: Path, columns: Columns, header: Sequence[str], rows: Sequence[Sequence[str]]
) -> tuple[Columns, str]:
    """The columns of corners, and what to say where they stand in the order x1, y1, x2, y2 whatever they are called.

    Udacity's are called xmin, xmax, ymin, ymax. The order is taken where it puts fewer corners behind their opposites.
    """
    named = [header.index(name) for name in columns.box]
    places = sorted(named)
    if not columns.corners or places == named:
        return columns, ""

    def swapped(four: Sequence[int]) -> int:
        count = 0
        for row in rows[1:]:
            with suppress(ValueError, IndexError):
                x1, y1, x2, y2 = (float(row[place]) for place in four)
                count += x1 > x2 or y1 > y2
        return count

    behind = swapped(named)
    if not behind or swapped(places) >= behind:
        return columns, ""
    names = tuple(header[place] for place in places)
    return columns._replace(box=names), f"{file.name}: {', '.join(names)} hold x1, y1, x2, y2"


def _add(picture: Picture, row: Mapping[str, str], columns: Columns, names: Mapping[str, str], where: str) -> None:
    """Adds the box of a row to its picture."""
    texts = [row[name].strip() for name in columns.box]
    if len(texts) == 1:
        texts = re.split(r"[\s,;]+", texts[0].strip("[](){} "))
    if all(text.lower() in ("", "nan", "none", "null") for text in texts):
        return
    if columns.present is not None and row[columns.present].strip() in ("0", "0.0"):
        return
    try:
        box = of_corners(texts) if columns.corners else of_sides(texts)
    except ValueError:
        found = ", ".join(texts)[:80]
        picture.fault = picture.fault or f"{picture.file}: {where}: found the box ({found}); must be four numbers."
        return
    text = row[columns.name].strip() if columns.name else ""
    ignored = any(is_yes(row[name]) for name in columns.ignored)
    picture.things.append(Thing(names.get(text, text), box, difficult=ignored, where=where))


def _size(row: Mapping[str, str], columns: Columns) -> tuple[int, int] | None:
    """(height, width) of the picture; None where the row does not say it."""
    sides = [row[name].strip() for name in columns.size or ()]
    return (int(sides[1]), int(sides[0])) if sides and all(map(str.isdecimal, sides)) else None


def _rows(file: Path) -> list[list[str]]:
    if file.suffix.lower() == ".json":
        return json_rows(file)
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            first = lines.readline()
            lines.seek(0)
            return list(csv.reader(lines, delimiter=delimiter(first)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file}: cannot be read ({error}); must be a CSV file in UTF-8.") from error
