"""Class maps that say yes and no: black and white, as most sets of one class have them (polyps, lesions, vessels)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import torch

from vjo_train.data.decode import read_values
from vjo_train.errors import DataError

WHITE = 255
ENOUGH = 16
"""Maps with something white, and nothing else, that settle it."""


def black_and_white(maps: Sequence[tuple[Path, tuple[int, int]]]) -> bool:
    """Whether maps hold nothing but 0 and 255, and some of them 255: there it is the class, and not what is ignored.

    Looks at maps from all parts of the data set until `ENOUGH` of them have something white; those that cannot be read
    say nothing.

    Args:
        maps: the file of each and the (height, width) of its picture.
    """
    found = 0
    step = max(1, len(maps) // ENOUGH)
    for path, size in (one for start in range(step) for one in maps[start::step]):
        with suppress(DataError):
            values = read_values(path, size, lossy=True)
            white = values == WHITE
            if not bool((white | (values == 0)).all()):
                return False
            found += bool(white.any())
        if found == ENOUGH:
            break
    return found > 0


def yes_and_no(path: Path, size: tuple[int, int]) -> torch.Tensor:
    """[H, W] uint8 of a black and white map: 1 where it is white.

    Raises:
        DataError: as `read_values`; it holds other values.
    """
    values = read_values(path, size, lossy=True)
    if bool((other := (values != 0) & (values != WHITE)).any()):
        found = int(values[other].max())
        raise DataError(f"{path}: found the value {found}; as the other maps hold 0 and {WHITE}, so must this one.")
    return (values == WHITE).to(torch.uint8)
