"""`metrics.csv` as a table: one row per epoch, in an order that its columns alone decide. Imports no torch."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path

from vjo_train.errors import CheckpointError

FILE = "metrics.csv"
FIRST = ("epoch", "step", "train/lr")
LAST = ("images_per_second", "data_wait", "seconds")
STAGES = ("train", "val", "test")

Row = dict[str, str]


def rows_before(rows: Iterable[Row], epoch: int) -> list[Row]:
    """The rows of the epochs before `epoch`."""
    return [row for row in rows if int(row["epoch"]) < epoch]


def read_history(path: Path) -> list[Row]:
    """The rows as text, cell by column; empty cells are left out.

    Raises:
        CheckpointError: the file is not a table with a column `epoch` of whole numbers.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = [{k: v for k, v in row.items() if k and v} for row in csv.DictReader(file)]
    for number, row in enumerate(rows, start=2):
        if not row.get("epoch", "").isdecimal():
            raise CheckpointError(
                f"{path}, line {number}: found no whole number in the column epoch. Move the file away to resume."
            )
    return rows


def to_csv(rows: Iterable[Mapping[str, str]]) -> str:
    """The table of `rows`, with every column that one of them has."""
    rows = list(rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, columns(name for row in rows for name in row), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def columns(names: Iterable[str]) -> list[str]:
    """`names` in the order of the file: it depends on the set of names alone, not on which came first."""
    middle = set(names) - {*FIRST, *LAST}
    return [*FIRST, *sorted(middle, key=_rank), *LAST]


def _rank(name: str) -> tuple[int, str]:
    stage = name.partition("/")[0]
    return STAGES.index(stage) if stage in STAGES else len(STAGES), name
