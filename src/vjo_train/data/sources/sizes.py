"""The sizes of pictures whose annotations do not tell them."""

from __future__ import annotations

from pathlib import Path

from vjo_train.data.decode import read_size, shown_size
from vjo_train.errors import DataError


def measured(path: Path, row: int, faults: dict[int, str], *, shown: bool = False) -> tuple[int, int]:
    """(height, width) of image `row` from its file's header; 1 x 1 for what is no picture, which is told in `faults`.

    A fault that is there already stays.

    Args:
        path: the picture.
        row: of the image.
        faults: row -> what is wrong.
        shown: as viewers show it, by its EXIF orientation, and not as it is stored.
    """
    try:
        return shown_size(path) if shown else read_size(path)
    except DataError as error:
        faults.setdefault(row, str(error))
        return 1, 1
