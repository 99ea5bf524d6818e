"""Tables of boxes in JSON: a list of rows, or the boxes of each picture under its name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vjo_train.data.sources.objects.shapes import read_json
from vjo_train.errors import DataError

NAME = "filename"
"""The column of the names under which pictures stand."""


def json_rows(file: Path) -> list[list[str]]:
    """A row of the columns' names and one for each box, as CSV has them.

    `[{column: value, ..}, ..]`; or `{picture: [{column: value, ..}, ..], ..}`; or, as of Kvasir-SEG,
    `{picture: {column: value, .., boxes: [{column: value, ..}, ..]}, ..}`, whatever the list is called. A picture
    without boxes has a row of blanks.

    Raises:
        DataError: it cannot be read, or is none of these.
    """
    rows = list(_rows(file, read_json(file)))
    columns = list(dict.fromkeys(key for row in rows for key in row))
    return [columns, *([_text(row.get(key)) for key in columns] for row in rows)]


def _rows(file: Path, content: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(content, list):
        for number, row in enumerate(content, 1):
            yield _row(file, f"row {number}", row)
    elif isinstance(content, dict):
        for name, found in content.items():
            yield from ({NAME: name, **row} for row in _of_picture(file, f"'{name[:60]}'", found))
    else:
        raise DataError(f"{file}: found {type(content).__name__}; must be a list of rows, or pictures with boxes.")


def _of_picture(file: Path, where: str, found: Any) -> Iterator[Mapping[str, Any]]:
    """A row for each box of a picture, with what is said of the picture; one row where it has none."""
    own = {"": found} if isinstance(found, list) else _row(file, where, found)
    lists = {key: value for key, value in own.items() if isinstance(value, list) and not any(map(_is_number, value))}
    if len(filled := [key for key, value in lists.items() if value]) > 1:
        raise DataError(f"{file}: {where}: found boxes in {' and '.join(filled)}; must be in one of them.")
    shared = {key: value for key, value in own.items() if key not in lists}
    boxes = [box for value in lists.values() for box in value]
    yield from ({**shared, **_row(file, where, box)} for box in boxes or [{}])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _row(file: Path, where: str, found: Any) -> Mapping[str, Any]:
    if not isinstance(found, dict):
        raise DataError(f"{file}: {where}: found {str(found)[:60]}; must be an object of columns and values.")
    return found


def _text(value: Any) -> str:
    return "" if value is None else str(value)
