"""Maps of windows that overlap, blended into one of the whole picture."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vjo_train.inference.tiling.windows import Window, weights


class Mosaic:
    """Takes the maps of windows in the order of `windows.windows`, and keeps no more than a row of them unfinished.

    A pixel's maps are the mean over the windows that see it, weighted by how far it is from their edges
    (`windows.weights`). Of the picture as a whole there is only what `finished` makes of them, such as a class.

    Args:
        size: (height, width) of the picture.
        shared: rows and columns that neighbours have in common.
        finished: maps [1, K, h, w] float32 -> what is predicted of each pixel, [1, ..., h, w]; pixel by pixel.
    """

    def __init__(self, size: tuple[int, int], shared: tuple[int, int], finished: Callable[[Tensor], Tensor]) -> None:
        self._turned = size[1] > size[0]  # rows are columns then
        self._size, self._shared = (size[::-1], shared[::-1]) if self._turned else (size, shared)
        self._finished = finished
        self._top = 0
        self._sums = self._counts = torch.empty(0)
        self._found: Tensor | None = None

    def add(self, window: Window, maps: Tensor) -> None:
        """Takes the maps [K, h, w] of a window."""
        if self._turned:
            window, maps = window.turned, maps.mT
        height = window.size[0]
        if not self._sums.numel():
            self._sums = maps.new_zeros(len(maps), height, self._size[1])
            self._counts = maps.new_zeros(height, self._size[1])
        self._finish_above(window.top)
        weight = torch.from_numpy(weights(window.size, self._shared)).to(maps.device)
        self._sums[:, :, window.columns] += weight * maps
        self._counts[:, window.columns] += weight

    def whole(self) -> Tensor:
        """What is predicted of the picture, [..., H, W], on the CPU; windows must have covered it."""
        self._finish_above(self._size[0])
        assert self._found is not None
        return self._found

    def _finish_above(self, row: int) -> None:
        """Finishes the rows above `row`, and moves what is left up."""
        count = row - self._top
        if not count:
            return
        maps = (self._sums[:, :count] / self._counts[:count])[None]
        done = self._finished(maps.mT if self._turned else maps)[0].cpu()
        if self._found is None:
            shape = self._size[::-1] if self._turned else self._size
            self._found = done.new_empty(*done.shape[:-2], *shape)
        (self._found.mT if self._turned else self._found)[..., self._top : row, :] = done.mT if self._turned else done
        for buffer in (self._sums, self._counts):
            rest = buffer[..., count:, :].clone()
            buffer[..., : rest.shape[-2], :] = rest
            buffer[..., rest.shape[-2] :, :] = 0
        self._top = row
