"""Tables in JSON: a list of rows, as pandas writes it with `orient="records"`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vjo_train.data.sources.objects.shapes import read_json
from vjo_train.errors import DataError


def json_rows(file: Path) -> list[list[str]]:
    """A row of the columns' names, and the rows of `[{column: value, ..}, ..]`, as CSV has them.

    Raises:
        DataError: it cannot be read, or is no such list.
    """
    rows = read_json(file)
    if not isinstance(rows, list):
        said = "must be a list of rows; pictures with a list of boxes each are read by dataset=box_lists"
        raise DataError(f"{file}: found {type(rows).__name__}; {said}.")
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise DataError(f"{file}: row {number}: found {str(row)[:60]}; must be an object of columns and values.")
    columns = list(dict.fromkeys(key for row in rows for key in row))
    return [columns, *([_text(row.get(key)) for key in columns] for row in rows)]


def _text(value: Any) -> str:
    return "" if value is None else str(value)
