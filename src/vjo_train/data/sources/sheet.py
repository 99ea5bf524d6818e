"""What a table says: CSV, TSV or Parquet."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from vjo_train.data.sources.objects.columns import PICTURE, plain
from vjo_train.data.sources.objects.signs import delimiter
from vjo_train.data.sources.parquet import ENDINGS, parquet_rows
from vjo_train.errors import DataError

FLAGS = {"1": 1, "1.0": 1, "true": 1, "0": -1, "0.0": -1, "false": -1, "": 0, "-1": 0, "-1.0": 0}
"""What stands in a column of a class, in small letters -> its flag: there, not there, unknown."""
_NAMES = (
    *("label", "labels", "class", "classes", "category", "target", "tags", "findinglabels", "diagnosis", "dx"),
    *("classname", "classid", "labelname", "breed", "species", "level", "attributeids"),
)
_OWNERS = ("patient", "patientid", "patientnumber", "subject", "subjectid")
_SEPARATORS = (";", "|")
"""Of several names, where none is asked for: no name of a class has these."""


LARGEST = float(np.finfo(np.float32).max)
Rows: TypeAlias = Sequence[Mapping[str, str]]
Value = TypeVar("Value", int, None)
Repeated: TypeAlias = Literal["error", "any", "vote"]
"""What to do with the rows of one picture: refuse them, take what any of them says, or what most of them say."""


class Asked(NamedTuple):
    """What is looked for in a table; see `Table`."""

    path: str | None
    labels: tuple[str, ...] | None
    label: str | None
    separator: str | None
    numbers: tuple[str, ...]
    split: str | None
    group: str | None
    repeated: Repeated


@dataclass(frozen=True)
class Sheet:
    """What a table says.

    Attributes:
        pictures: [I] paths as they are written.
        splits: [I], empty where there is no such column.
        groups: [I] what each picture belongs to, itself where that is blank; empty where no column is asked for.
        classes: the P class names.
        flags: [I, P] int8: 1 there, -1 not there, 0 unknown.
        columns: the V columns of numbers.
        numbers: [I, V] float32; NaN where unknown.
        faults: row -> what is wrong with it.
        said: how it was understood, a line each.
        named: classes are named in one column, so that what is not named is not there.
    """

    pictures: tuple[str, ...]
    splits: tuple[str, ...]
    groups: tuple[str, ...]
    classes: tuple[str, ...]
    flags: npt.NDArray[np.int8]
    columns: tuple[str, ...]
    numbers: npt.NDArray[np.float32]
    faults: Mapping[int, str]
    said: tuple[str, ...] = ()
    named: bool = False


def read_sheet(file: Path, asked: Asked) -> Sheet:
    """Reads a table.

    Args:
        file: the table.
        asked: what is looked for in it.

    Raises:
        DataError: it cannot be read, or lacks a column.
    """
    is_parquet = file.suffix.lower() in ENDINGS
    columns, rows = parquet_rows(file, asked.separator or _SEPARATORS[0]) if is_parquet else _rows(file)
    path = _column(file, columns, asked.path, PICTURE, "path")
    split = asked.split if asked.split is not None else next((one for one in columns if one.lower() == "split"), None)
    labels, label = _label_columns(file, columns, rows, asked, (path, split, asked.group))
    for key, names in (("labels", labels or ()), ("numbers", asked.numbers)):
        for name in names:
            _column(file, columns, name, (), key)
    for key, one in (("split", split), ("group", asked.group)):
        if one is not None:
            _column(file, columns, one, (), key)
    said: list[str] = []
    likely = next((name for name in columns if plain(name) in _OWNERS), None)
    if likely is not None and asked.group is None:
        key = f"dataset.source.group={likely}" if likely.isidentifier() else f"'dataset.source.group=\"{likely}\"'"
        said.append(f"{key} keeps pictures with one {likely} together")
    own = ", ".join(labels) if labels else f"'{label}'" if label else "none"
    said.append(f"pictures in '{path}', classes in {own}, numbers: {', '.join(asked.numbers) or 'none'}")
    classes: tuple[str, ...]
    if label is not None:
        separator = asked.separator or _separator([row[label] for row in rows], said)
        named = [[name.strip() for name in row[label].split(separator) if name.strip()] for row in rows]
        classes = tuple(sorted({name for names in named for name in names}))
        flags = [[0] * len(classes) if not own else [1 if name in own else -1 for name in classes] for own in named]
    else:
        labels = labels or ()
        classes, flags = labels, [[_flag(row[name], 0) for name in labels] for row in rows]
        flags = _two_valued(flags, {row[name].strip() for row in rows for name in labels}, said)
    if both := sorted({*classes} & {*asked.numbers}):
        raise DataError(f"{file}: found '{both[0]}' among the classes and the numbers; must be one of them.")
    pictures = tuple(row[path].strip() for row in rows)
    numbers, wrong = _numbers(rows, asked.numbers)
    words = ("row", 1) if is_parquet else ("line", 2)
    faults = {k: f"{file}: {words[0]} {k + words[1]}: {what}" for k, what in wrong.items()}
    return Sheet(
        pictures=pictures,
        splits=tuple(row[split].strip() for row in rows) if split else (),
        groups=tuple(row[asked.group].strip() or row[path].strip() for row in rows) if asked.group else (),
        classes=classes,
        flags=np.array(flags, np.int8).reshape(len(rows), len(classes)),
        columns=asked.numbers,
        numbers=numbers,
        faults=faults | _faults(file, pictures, rows, labels or (), words, once=asked.repeated == "error"),
        said=tuple(f"{file.name}: {line}" for line in said),
        named=label is not None,
    )


def _label_columns(
    file: Path, columns: Sequence[str], rows: Rows, asked: Asked, taken: Sequence[str | None]
) -> tuple[tuple[str, ...] | None, str | None]:
    """The columns of 0 and 1, or the one of class names; neither where there are numbers alone."""
    labels, label = asked.labels, asked.label
    if labels is None and label is None:
        left = [name for name in columns if name not in (*taken, *asked.numbers)]
        labels = tuple(name for name in left if _are_flags({row[name].strip().lower() for row in rows})) or None
    if labels is not None:
        return labels, None
    if label is None and asked.numbers and not any(plain(name) in _NAMES for name in columns):
        return None, None
    return None, _column(file, columns, label, _NAMES, "label")


def _flag(text: str, other: Value) -> int | Value:
    return FLAGS.get(text.strip().lower(), other)


def _are_flags(values: set[str]) -> bool:
    """Whether a column holds 0, 1 and unknown alone, and is not empty."""
    return values <= FLAGS.keys() and values != {""}


def _two_valued(flags: list[list[int]], values: set[str], said: list[str]) -> list[list[int]]:
    """Where a table has 1 and -1, but neither 0 nor blanks, as CelebA's, -1 is a no."""
    if not {"-1", "1"} <= values <= {"-1", "1", "-1.0", "1.0"}:
        return flags
    said.append("holds 1 and -1 alone, neither 0 nor blanks: -1 is a no")
    return [[flag or -1 for flag in row] for row in flags]


def _separator(values: Sequence[str], said: list[str]) -> str:
    """Between several names in a column, where nobody says it."""
    found = next((mark for mark in _SEPARATORS if any(mark in value for value in values)), _SEPARATORS[0])
    spaced = next((value for value in values if " " in value.strip() and found not in value), None)
    if spaced is not None:
        said.append(f"takes '{spaced[:60]}' for one class; dataset.source.separator=' ' if these are several")
    return found


def _numbers(rows: Rows, columns: Sequence[str]) -> tuple[npt.NDArray[np.float32], dict[int, str]]:
    """[I, V], NaN for blanks; and row -> what is wrong with it."""
    found = np.full((len(rows), len(columns)), np.nan, np.float32)
    wrong: dict[int, str] = {}
    for number, row in enumerate(rows):
        for place, name in enumerate(columns):
            text = row[name].strip()
            try:
                value = float(text or "nan")
            except ValueError:
                value = math.inf
            if not abs(value) <= LARGEST and not math.isnan(value):
                wrong[number] = f"found '{text[:40]}' for {name}; must be a number, or blank where it is unknown."
            else:
                found[number, place] = value
    return found, wrong


def _faults(
    file: Path,
    pictures: Sequence[str],
    rows: Sequence[Mapping[str, str]],
    labels: Sequence[str],
    count: tuple[str, int],
    *,
    once: bool,
) -> dict[int, str]:
    """Row -> what is wrong with it; `count` is what rows are called in the file, and the number of the first."""
    word, start = count
    faults: dict[int, str] = {}
    seen: dict[str, int] = {}
    for number, (picture, row) in enumerate(zip(pictures, rows, strict=True)):
        line = number + start
        wrong = next((name for name in labels if _flag(row[name], None) is None), None)
        if wrong is not None:
            faults[number] = f"{file}: {word} {line}: found '{row[wrong][:40]}' for {wrong}; must be 0, 1, -1 or blank."
        first = seen.setdefault(picture, number)
        if once and first != number:  # the first row is the one that a picture is looked up in
            said = f"'{picture}' stands in {word} {first + start} too; must be there once, or"
            faults.setdefault(first, f"{file}: {word} {line}: {said} dataset.source.repeated must be any or vote.")
    return faults


def _rows(file: Path) -> tuple[list[str], list[dict[str, str]]]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read ({error}); must be a CSV or TSV file in UTF-8.") from error
    first = text.partition("\n")[0]
    reader = csv.DictReader(text.splitlines(), delimiter=delimiter(first), restval="")
    columns = list(reader.fieldnames or [])
    rows = [{name: row[name] or "" for name in columns} for row in reader]
    if not rows:
        raise DataError(f"{file}: found no rows below its first line; must list pictures.")
    return columns, rows


def _column(file: Path, columns: Sequence[str], name: str | None, likely: Sequence[str], key: str) -> str:
    """`name`, or the first column that is called as one of `likely`."""
    if name is None:
        name = next((column for word in likely for column in columns if plain(column) == word), None)
    if name is None or name not in columns:
        what = f"no column '{name}'" if name else f"no column of the {key}"
        raise DataError(f"{file}: found {what}; its columns are {', '.join(columns)}; see dataset.source.{key}.")
    return name
