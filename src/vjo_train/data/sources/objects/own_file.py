"""Pictures that have a file of their own each, which is called as they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vjo_train.data.sources.objects.records import Picture
from vjo_train.data.sources.split_names import split_of_folders
from vjo_train.errors import DataError


def picture_of(root: Path, file: Path, fill: Callable[[Picture], None]) -> Picture:
    """The picture of a file, by the file's name and the split of its folders.

    Args:
        root: of the data set.
        file: says which objects the picture shows.
        fill: reads it into its picture; what it raises as `DataError` is the picture's fault.
    """
    picture = Picture(file.stem, file, split_of_folders(file, root))
    try:
        fill(picture)
    except DataError as error:
        picture.fault = str(error)
    return picture
