"""The rows of a Parquet file as those of a CSV file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from vjo_train.errors import DataError

ENDINGS = (".parquet", ".pq")
"""Of the names of such files, in small letters."""


def parquet_rows(file: Path, separator: str) -> tuple[list[str], list[dict[str, str]]]:
    """The columns, and each row's values as text by column: nothing for null, 1 and 0 for yes and no.

    Args:
        file: the table.
        separator: between the values of a list.

    Raises:
        DataError: pyarrow is not installed, or the file cannot be read.
    """
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise DataError(f"{file}: Parquet needs pyarrow: pip install 'vjo-train[parquet]'") from None
    try:
        table = parquet.read_table(file)
    except (OSError, ArrowException) as error:
        raise DataError(f"{file}: cannot be read ({str(error).splitlines()[0]}); must be a Parquet file.") from error
    columns = [str(name) for name in table.column_names]
    rows = [{str(name): _text(value, separator) for name, value in row.items()} for row in table.to_pylist()]
    if not rows:
        raise DataError(f"{file}: found no rows; must list pictures.")
    return columns, rows


def _text(value: Any, separator: str) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, list):
        return separator.join(_text(one, separator) for one in value)
    return str(value)
