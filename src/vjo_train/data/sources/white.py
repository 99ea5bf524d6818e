"""Class maps that say yes and no: black and white, as most sets of one class have them (polyps, lesions, vessels)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import torch

from vjo_train.data.sources.map_reading import read_map
from vjo_train.errors import DataError

WHITE = 255
ENOUGH = 16
"""Maps with something white, and nothing else, that settle it."""


def black_and_white(maps: Sequence[tuple[int, Path, tuple[int, int]]], variable: str | None = None) -> bool:
    """Whether maps hold nothing but 0 and 255, and some of them 255: there it is the class, and not what is ignored.

    Looks at maps from all parts of the data set until `ENOUGH` of them have something white; those that cannot be read
    say nothing.

    Args:
        maps: the row, the file and the (height, width) of its picture of each.
        variable: as of `read_map`.
    """
    found = 0
    step = max(1, len(maps) // ENOUGH)
    for _, path, size in (one for start in range(step) for one in maps[start::step]):
        with suppress(DataError):
            values = read_map(path, size, lossy=True, variable=variable)
            white = values == WHITE
            if not bool((white | (values == 0)).all()):
                return False
            found += bool(white.any())
        if found == ENOUGH:
            break
    return found > 0


def yes_and_no(path: Path, size: tuple[int, int], variable: str | None = None) -> torch.Tensor:
    """[H, W] uint8 of a black and white map: 1 where it is white.

    Raises:
        DataError: as `read_map`; it holds other values.
    """
    values = read_map(path, size, lossy=True, variable=variable)
    if bool((other := (values != 0) & (values != WHITE)).any()):
        found = int(values[other].max())
        raise DataError(f"{path}: found the value {found}; as the other maps hold 0 and {WHITE}, so must this one.")
    return (values == WHITE).to(torch.uint8)
