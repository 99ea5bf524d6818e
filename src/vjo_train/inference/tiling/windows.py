"""Where the windows over a large picture lie."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vjo_train.types import Canvas

AUTO = "auto"
"""The tile that is as large as the network's canvas: pixels stay as they are."""


@dataclass(frozen=True)
class Tiling:
    """How a picture is cut.

    Attributes:
        tile: height and width of a window in the picture's own pixels. The network sees it scaled to fit its canvas.
        overlap: share of a window, 0 to below 1, that its neighbours see too.
    """

    tile: Canvas
    overlap: float

    def spares(self, size: Sequence[int]) -> bool:
        """Whether a picture of `size` (height, width) fits into one window, so that it is not cut."""
        return size[0] <= self.tile[0] and size[1] <= self.tile[1]

    @property
    def shared(self) -> tuple[int, int]:
        """Rows and columns that neighbours have in common, or more: an object of at most that is whole in a window."""
        height, width = self.tile
        return height - _step(height, self.overlap), width - _step(width, self.overlap)


@dataclass(frozen=True)
class Window:
    """A part of a picture, in its pixels."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.bottom - self.top, self.right - self.left

    @property
    def turned(self) -> Window:
        """The same with rows and columns swapped."""
        return Window(self.left, self.top, self.right, self.bottom)

    @property
    def rows(self) -> slice:
        return slice(self.top, self.bottom)

    @property
    def columns(self) -> slice:
        return slice(self.left, self.right)


def windows(size: tuple[int, int], tiling: Tiling) -> list[Window]:
    """Windows that cover a picture of `size` (height, width), none of which reaches out of it.

    They come row by row from the top, or where it is wider than high, column by column from the left: the shorter rows
    are, the less has to be kept of them.
    """
    (height, width), (tall, wide) = size, tiling.tile
    tall, wide = min(tall, height), min(wide, width)
    cut = [
        Window(top, left, top + tall, left + wide)
        for top in starts(height, tall, tiling.overlap)
        for left in starts(width, wide, tiling.overlap)
    ]
    return sorted(cut, key=lambda window: window.left) if width > height else cut


def starts(length: int, tile: int, overlap: float) -> list[int]:
    """Where windows of `tile` pixels begin along an axis: evenly, but that the last one is moved inside."""
    if tile >= length:
        return [0]
    step = _step(tile, overlap)
    count = math.ceil((length - tile) / step) + 1
    return [min(k * step, length - tile) for k in range(count)]


def _step(tile: int, overlap: float) -> int:
    return max(1, round(tile * (1 - overlap)))


def weights(size: tuple[int, int], shared: tuple[int, int]) -> npt.NDArray[np.float32]:
    """How much a window's pixels count, [h, w] in 0..1: less and less towards its edges, over `shared` pixels.

    Where two windows have just these pixels in common, their weights sum to 1.
    """
    down, across = (_ramp(length, common) for length, common in zip(size, shared, strict=True))
    both: npt.NDArray[np.float32] = down[:, None] * across[None]
    return both


def _ramp(length: int, shared: int) -> npt.NDArray[np.float32]:
    place = np.arange(length, dtype=np.float32) + 0.5
    to_edge = np.minimum(place, length - place)
    ramp: npt.NDArray[np.float32] = np.minimum(1.0, to_edge / max(shared, 0.5)).astype(np.float32)
    return ramp
