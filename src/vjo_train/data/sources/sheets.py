"""Several tables as one, such as `train.csv`, `val.csv` and `test.csv`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vjo_train.data.sources.objects.format_files import asked_files
from vjo_train.data.sources.opinions import in_one_row
from vjo_train.data.sources.sheet import Asked, Sheet, read_sheet
from vjo_train.data.sources.split_names import split_in
from vjo_train.errors import DataError

SPLIT = "{split}"


def tables(root: Path, pattern: str) -> dict[Path, str]:
    """The files that a pattern means below the root, and the split of each, or nothing where its name says none.

    Args:
        root: of the data set.
        pattern: a path; with `*`, several; with `{split}`, one for each split, named by what stands there: words for
            training, validation and test, or, without any, whatever it is.
    """
    if SPLIT in pattern:
        named = re.compile(".+".join(map(re.escape, pattern.split(SPLIT))).replace(".+", "(.+)", 1))
        found = {path: named.fullmatch(path.relative_to(root).as_posix()) for path in _files(root, pattern)}
        names = {path: match[1] for path, match in found.items() if match}
        return {path: name for path, name in names.items() if split_in(name)} or names
    if "*" in pattern:
        return {path: split_in(path.stem) for path in _files(root, pattern)}
    return {root / pattern: ""} if (root / pattern).is_file() else {}


def read_sheets(root: Path, pattern: str, asked: Asked) -> Sheet:
    """What the tables of a pattern say together.

    Raises:
        DataError: one cannot be read, lacks a column, or lists a picture of another one; some say splits, others none.
    """
    files = tables(root, pattern)
    if not files:
        raise DataError(f"dataset.source.file: found no {root / pattern}; must be a CSV, TSV or Parquet file.")
    sheets = [_read(file, file.stat().st_mtime_ns, asked) for file in files]
    if len(sheets) == 1 and not any(files.values()):
        return sheets[0]
    owners: dict[str, Path] = {}
    for file, sheet in zip(files, sheets, strict=True):
        for picture in sheet.pictures:
            if owners.setdefault(picture, file) != file:
                raise DataError(f"{file}: '{picture}' stands in {owners[picture].name} too; must be there once.")
    splits = [_splits(split, sheet) for split, sheet in zip(files.values(), sheets, strict=True)]
    if any(splits) and not all(splits):
        silent = next(file for file, own in zip(files, splits, strict=True) if not own)
        raise DataError(
            f"dataset.source.file: {silent} says no split, others do; name them by '{SPLIT}.csv' or the like."
        )
    return _together(sheets, splits)


@lru_cache(8)
def _read(file: Path, changed: int, asked: Asked) -> Sheet:
    """A table, kept until it changes."""
    return in_one_row(file, read_sheet(file, asked), asked.repeated)


def _files(root: Path, pattern: str) -> list[Path]:
    return asked_files(root, pattern.replace(SPLIT, "*"))


def _splits(split: str, sheet: Sheet) -> tuple[str, ...]:
    """Those of its column, else the one of its file for each picture."""
    return sheet.splits or ((split,) * len(sheet.pictures) if split else ())


def _together(sheets: Sequence[Sheet], splits: Sequence[tuple[str, ...]]) -> Sheet:
    first = sheets[0]
    known = list(dict.fromkeys(name for sheet in sheets for name in sheet.classes))
    named = [sheet for sheet in sheets if sheet.classes]
    classes = first.classes if all(sheet.classes == first.classes for sheet in named) else tuple(sorted(known))
    starts = np.cumsum([0, *(len(sheet.pictures) for sheet in sheets)]).tolist()
    flags = [_aligned(sheet.flags, sheet.classes, classes, -1 if sheet.named else 0) for sheet in sheets]
    rows = zip(starts[:-1], sheets, strict=True)
    return Sheet(
        pictures=tuple(picture for sheet in sheets for picture in sheet.pictures),
        splits=tuple(split for own in splits for split in own),
        groups=tuple(group for sheet in sheets for group in sheet.groups),
        classes=classes,
        flags=np.concatenate(flags),
        columns=first.columns,
        numbers=np.concatenate([sheet.numbers for sheet in sheets]),
        faults={start + row: what for start, sheet in rows for row, what in sheet.faults.items()},
        said=tuple(line for sheet in sheets for line in sheet.said),
        named=first.named,
    )


def _aligned(flags: npt.NDArray[Any], names: Sequence[str], wanted: Sequence[str], other: int) -> npt.NDArray[np.int8]:
    """[I, P] by `names` -> [I, C] by `wanted`; classes that a table does not have are `other` where it knows any."""
    found = np.where((flags != 0).any(axis=1)[:, None], np.int8(other), np.int8(0)).repeat(len(wanted), axis=1)
    for place, name in enumerate(names):
        found[:, wanted.index(name)] = flags[:, place]
    return found
