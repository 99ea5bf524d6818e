"""Changes of brightness, contrast, saturation and hue: one matrix for each picture."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

GREY = (0.299, 0.587, 0.114)
"""Luma of ITU-R BT.601."""
_YIQ = np.array([GREY, (0.596, -0.274, -0.322), (0.211, -0.523, 0.312)])
_RGB = np.linalg.inv(_YIQ)
_STEP = 1024
"""Coefficients are multiples of 1 / 1024: with eight bits of colour and four bits before the point, all products and
sums are exact in float32, so that the result depends neither on the order of summation nor on threads."""
_SIDE_BY_SIDE = 8
"""Pixels in a row of the matrix product: a product of rows of 3 is several times slower than one of 24."""
_STRIP = 8192
"""Rows of that product at a time, which stay in the cache of the processor."""


class Jitter(NamedTuple):
    """Factors of 1 change nothing."""

    brightness: float = 1.0
    """Multiplies all colours."""
    contrast: float = 1.0
    """Moves them from (or to) the mean grey of the picture."""
    saturation: float = 1.0
    """Moves them from (or to) the grey of their pixel."""
    hue: float = 1.0
    """Turns them about the axis of greys, by `hue - 1` of a full turn, in YIQ."""

    def __call__(self, image: Tensor) -> Tensor:
        """[3, h, w] uint8 -> the same, changed; cut to 0..255 once, at the end."""
        if self == Jitter():
            return image
        return apply(image, matrix(self, mean_grey(image) if self.contrast != 1 else 0.0))


def matrix(jitter: Jitter, mean: float) -> npt.NDArray[np.float64]:
    """[3, 4]: a pixel's RGB -> its new RGB; the last column is added. `mean` is the picture's mean grey."""
    linear = np.eye(3)
    if jitter.saturation != 1:
        linear = jitter.saturation * linear + (1 - jitter.saturation) * np.array(GREY)
    if jitter.hue != 1:
        angle = 2 * math.pi * (jitter.hue - 1)
        sine, cosine = math.sin(angle), math.cos(angle)
        linear = _RGB @ np.array([(1, 0, 0), (0, cosine, -sine), (0, sine, cosine)]) @ _YIQ @ linear
    added = np.full((3, 1), (1 - jitter.contrast) * mean)  # grey stays grey under the other two
    return np.concatenate([jitter.contrast * linear, added], axis=1) * jitter.brightness


def mean_grey(image: Tensor) -> float:
    """Of [3, h, w] uint8, from every fourth row and column: a sum of integers, the same with any number of threads."""
    some = image[:, ::4, ::4]
    sums = some.sum(dim=(1, 2), dtype=torch.int64).tolist()
    return float(np.dot(GREY, sums)) / (some.shape[1] * some.shape[2])


def apply(image: Tensor, change: npt.NDArray[np.float64]) -> Tensor:
    """[3, h, w] uint8 and [3, 4] -> the changed image, its colours side by side in memory."""
    exact = (np.round(change * _STEP) / _STEP).astype(np.float32)
    exact[:, 3] += 0.5  # what follows cuts, and so rounds
    pixels = image.permute(1, 2, 0).contiguous()
    out = torch.empty_like(pixels)
    count = pixels.shape[0] * pixels.shape[1]
    together = _SIDE_BY_SIDE if count >= _SIDE_BY_SIDE else 1
    block = np.zeros((together, 3, together, 3), np.float32)
    block[np.arange(together), :, np.arange(together)] = exact[:, :3].T
    weight = torch.from_numpy(block.reshape(3 * together, 3 * together))
    added = torch.from_numpy(np.tile(exact[:, 3], together))

    whole = 3 * (count // together * together)
    rows, places = (some.view(-1)[:whole].view(-1, 3 * together) for some in (pixels, out))
    for start in range(0, len(rows), _STRIP):
        places[start : start + _STRIP] = _product(rows[start : start + _STRIP], weight, added)
    if whole < 3 * count:  # the last row once more, a little further on
        out.view(-1)[-3 * together :] = _product(pixels.view(-1)[None, -3 * together :], weight, added)[0]
    return out.permute(2, 0, 1)


def _product(rows: Tensor, weight: Tensor, added: Tensor) -> Tensor:
    """[n, c] uint8 -> [n, c] int16, from where to bytes is quick; from floating point it is not."""
    return torch.addmm(added, rows.float(), weight).clamp_(0, 255).to(torch.int16)
