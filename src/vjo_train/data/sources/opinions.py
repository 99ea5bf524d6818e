"""Pictures that stand in several rows of a table: one row for each of their names, or for each person who looked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vjo_train.data.sources.sheet import Repeated, Sheet


def in_one_row(file: Path, sheet: Sheet, repeated: Repeated) -> Sheet:
    """The table with one row for each picture, which is where the first of its rows is.

    `any`: a class is there where a row says so, else not there where a row says that. `vote`: what more rows say of a
    class holds, and in a draw it is unknown. Rows that do not know count neither way. Numbers are the known ones' mean.

    Args:
        file: the table, for messages.
        sheet: of it.
        repeated: `any` or `vote`; `error` leaves the table as it is.
    """
    if repeated == "error" or len(set(sheet.pictures)) == len(sheet.pictures):
        return sheet
    pictures = list(dict.fromkeys(sheet.pictures))
    places = {picture: place for place, picture in enumerate(pictures)}
    rows = np.array([places[picture] for picture in sheet.pictures], np.int64)
    first = np.unique(rows, return_index=True)[1].tolist()
    yes, no = (_count(sheet.flags == flag, rows, len(pictures)) for flag in (1, -1))
    flags = np.sign(yes - no) if repeated == "vote" else np.where(yes > 0, 1, -np.sign(no))
    known = np.isfinite(sheet.numbers)
    total = _count(np.where(known, sheet.numbers, 0.0), rows, len(pictures))
    count = _count(known, rows, len(pictures))
    numbers = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    said = "any of them names it" if repeated == "any" else "most of them say so"
    told = f"{len(pictures)} pictures stand in {len(rows)} rows: a class is there where {said}"
    return replace(
        sheet,
        pictures=tuple(pictures),
        splits=tuple(sheet.splits[row] for row in first) if sheet.splits else (),
        groups=tuple(sheet.groups[row] for row in first) if sheet.groups else (),
        flags=flags.astype(np.int8),
        numbers=numbers.astype(np.float32),
        faults={**_torn(file, sheet, rows), **{int(rows[row]): what for row, what in sheet.faults.items()}},
        said=(*sheet.said, f"{file.name}: {told}"),
    )


def _count(values: npt.NDArray[np.generic], rows: npt.NDArray[np.int64], pictures: int) -> npt.NDArray[np.float64]:
    """[I, P] by rows -> their sums by pictures."""
    found = np.zeros((pictures, values.shape[1]))
    np.add.at(found, rows, values)
    return found


def _torn(file: Path, sheet: Sheet, rows: npt.NDArray[np.int64]) -> dict[int, str]:
    """Picture -> what is wrong where its rows are of several splits or groups."""
    found: dict[int, str] = {}
    for what, column in (("split", sheet.splits), ("group", sheet.groups)):
        owners: dict[int, str] = {}
        for picture, name, own in zip(rows.tolist(), sheet.pictures, column, strict=False):  # none without the column
            if owners.setdefault(picture, own) != own:
                found[picture] = f"{file}: '{name}': found the {what}s {owners[picture]} and {own}; must be of one."
    return found
