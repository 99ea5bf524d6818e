"""Maps of windows that overlap, blended into one of the whole picture."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vjo_train.inference.tiling.windows import Window, weights


class Mosaic:
    """Takes the maps of windows row by row, and keeps no more than one row of windows unfinished.

    A pixel's maps are the mean over the windows that see it, weighted by how far it is from their edges
    (`windows.weights`). Of the picture as a whole there is only what `finished` makes of them, such as a class.

    Args:
        size: (height, width) of the picture.
        shared: rows and columns that neighbours have in common.
        finished: maps [1, K, h, w] float32 -> what is predicted of each pixel, [1, ..., h, w]; pixel by pixel.
    """

    def __init__(self, size: tuple[int, int], shared: tuple[int, int], finished: Callable[[Tensor], Tensor]) -> None:
        self.size, self._shared, self._finish = size, shared, finished
        self._top = 0
        self._sums = self._counts = torch.empty(0)
        self._found: Tensor | None = None

    def add(self, window: Window, maps: Tensor) -> None:
        """Takes the maps [K, h, w] of a window; none lies above one that has been taken."""
        height = window.size[0]
        if self._found is None and not self._sums.numel():
            self._sums = maps.new_zeros(len(maps), height, self.size[1])
            self._counts = maps.new_zeros(height, self.size[1])
        self._finish_above(window.top)
        weight = torch.from_numpy(weights(window.size, self._shared)).to(maps.device)
        self._sums[:, :height, window.columns] += weight * maps
        self._counts[:height, window.columns] += weight

    def whole(self) -> Tensor:
        """What is predicted of the picture, [..., H, W], on the CPU; windows must have covered it."""
        self._finish_above(self.size[0])
        assert self._found is not None
        return self._found

    def _finish_above(self, row: int) -> None:
        """Finishes the rows above `row`, and moves what is left up."""
        count = row - self._top
        if not count:
            return
        done = self._finish(self._sums[None, :, :count] / self._counts[:count])[0].cpu()
        if self._found is None:
            self._found = done.new_empty(*done.shape[:-2], *self.size)
        self._found[..., self._top : row, :] = done
        for buffer in (self._sums, self._counts):
            rest = buffer[..., count:, :].clone()
            buffer[..., : rest.shape[-2], :] = rest
            buffer[..., rest.shape[-2] :, :] = 0
        self._top = row
