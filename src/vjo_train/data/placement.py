"""Where a picture went: the way of points, boxes and maps from the picture file to the canvas."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from vjo_train.types import Canvas


class Placement(ABC):
    """How the labels of a picture follow it.

    Attributes:
        size: (height, width) of the picture where it lies now, without padding.
        objects: [M] int64: which of the picture's N objects are left, by their places in `Objects`.
        mirrored: left and right have changed places.
        scale: new pixels per pixel of the file.
        zoom: how much larger the picture is than where all of it just fits on the canvas.
    """

    size: tuple[int, int]
    objects: npt.NDArray[np.int64]
    mirrored: bool
    scale: float
    zoom: float

    @abstractmethod
    def boxes(self, boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """[N, 4] xyxy of all N objects -> [M, 4] of those that are left, cut to the picture; never the array given."""

    @abstractmethod
    def points(self, points: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """[..., 2] (x, y) -> where they lie now, perhaps outside the picture; never the array given."""

    @abstractmethod
    def maps(self, maps: Tensor, padding: float) -> Tensor:
        """Maps [K, h, w] of the file's pixels -> [K, H, W], by the nearest pixel, with `padding` around the picture."""


class Unmoved(Placement):
    """The picture as it is in its file.

    Args:
        size: (height, width).
        count: N objects.
    """

    def __init__(self, size: tuple[int, int], count: int) -> None:
        self.size, self.objects, self.mirrored = size, np.arange(count), False
        self.scale = self.zoom = 1.0

    def boxes(self, boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return boxes.copy()

    def points(self, points: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return points.copy()

    def maps(self, maps: Tensor, padding: float) -> Tensor:
        return maps


@dataclass(frozen=True)
class Axis:
    """What happens along one axis: pixels `first..last` of the picture go to `start..end` of `size` on the canvas."""

    first: int
    last: int
    start: int
    end: int
    size: int

    @classmethod
    def of(cls, low: int, high: int, length: int, scale: float) -> Axis:
        """For a window from `low` to `high` over a picture of `length` pixels."""
        size = max(1, round((high - low) * scale))
        first, last = max(low, 0), min(high, length)
        start = min(round((first - low) * scale), size - 1)
        end = size if last == high else min(size, max(start + 1, round((last - low) * scale)))
        return cls(first, last, start, end, size)

    @property
    def length(self) -> int:
        return self.end - self.start

    def place(self, mirrored: bool = False) -> slice:
        """On the canvas."""
        return slice(self.size - self.end, self.size - self.start) if mirrored else slice(self.start, self.end)

    @property
    def gain(self) -> float:
        """Pixels of the canvas per pixel of the picture."""
        return self.length / (self.last - self.first)


class OnCanvas(Placement):
    """A window of the picture on a canvas.

    Args:
        canvas: its height and width.
        across: of the columns.
        down: of the rows.
        mirrored: left and right change places.
        scale: canvas pixels per pixel of the file.
        zoom: see `Placement`.
        exact: points move by `scale` alone, sides being rounded; else by what their axis has been resized to.
    """

    def __init__(
        self, canvas: Canvas, across: Axis, down: Axis, *, mirrored: bool, scale: float, zoom: float, exact: bool
    ) -> None:
        self.canvas, self.across, self.down = canvas, across, down
        self.mirrored, self.scale, self.zoom, self.exact = mirrored, scale, zoom, exact
        self.size = down.size, across.size
        self.objects = np.empty(0, np.int64)

    def boxes(self, boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return self.clipped(boxes)[self.objects]

    def clipped(self, boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """[N, 4] of all objects on the canvas, cut to the picture there."""
        moved = self._moved(boxes, repeat=2)
        moved = np.maximum(np.minimum(moved, np.array([self.across.size, self.down.size] * 2, np.float32)), 0)
        if self.mirrored:
            moved[:, [0, 2]] = self.across.size - moved[:, [2, 0]]
        return moved

    def points(self, points: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        moved = self._moved(points, repeat=1)
        if self.mirrored:
            moved[..., 0] = self.across.size - moved[..., 0]
        return moved

    def _moved(self, places: npt.NDArray[np.float32], repeat: int) -> npt.NDArray[np.float32]:
        axes = (self.across, self.down)
        gain: float | list[float] = self.scale if self.exact else [axis.gain for axis in axes] * repeat
        shift = 0.0 if self.exact else [axis.start - axis.first * axis.gain for axis in axes] * repeat
        moved: npt.NDArray[np.float32] = places * np.array(gain, np.float32) + np.array(shift, np.float32)
        return moved

    def maps(self, maps: Tensor, padding: float) -> Tensor:
        across, down = self.across, self.down
        placed = maps.new_full((len(maps), *self.canvas), padding)
        if len(maps):
            part = maps[:, down.first : down.last, across.first : across.last]
            part = _nearest(part, (down.length, across.length))
            placed[:, down.place(), across.place(self.mirrored)] = part.flip(-1) if self.mirrored else part
        return placed


def _nearest(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """[K, h, w] -> [K, *size], each value that of the nearest pixel."""
    if maps.shape[1:] == size:
        return maps
    if maps.dtype == torch.uint8 or maps.is_floating_point():
        return interpolate(maps[None], size, mode="nearest")[0]
    rows, columns = (
        interpolate(torch.arange(old, dtype=torch.float32)[None, None], new, mode="nearest")[0, 0].long()
        for old, new in zip(maps.shape[1:], size, strict=True)
    )
    return maps[:, rows[:, None], columns]
