"""`affinity.csv` as rows. Imports no torch."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from vjo_train.errors import CheckpointError

FILE = "affinity.csv"
COLUMNS = ("step", "source", "target", "affinity")


class Measured(NamedTuple):
    """How much a step of `source` lowered the loss of `target`, relative to it, at a batch."""

    step: int
    source: str
    target: str
    affinity: float


def mean(measured: Iterable[Measured], source: str, target: str) -> float:
    """The mean affinity of a pair; NaN where it was never measured."""
    found = [row.affinity for row in measured if (row.source, row.target) == (source, target)]
    return fmean(found) if found else math.nan


def read(path: Path) -> list[Measured]:
    """The rows of `affinity.csv`; a last line that a killed process has cut is left out.

    Raises:
        CheckpointError: the file is no such table.
    """
    whole = [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]
    rows = csv.DictReader(io.StringIO("".join(whole)))
    try:
        return [Measured(int(r["step"]), r["source"], r["target"], float(r["affinity"])) for r in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path}, line {rows.line_num}: found no row of {','.join(COLUMNS)}. Move the file away to resume."
        ) from error


def lines(rows: Iterable[Measured]) -> str:
    """The rows as lines of `affinity.csv`."""
    return "".join(f"{row.step},{row.source},{row.target},{row.affinity:.7g}\n" for row in rows)
