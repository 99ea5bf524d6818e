"""Changes of brightness, contrast, saturation and hue: one matrix for each picture."""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

GREY = (0.299, 0.587, 0.114)
"""Luma of ITU-R BT.601."""
_YIQ = np.array([GREY, (0.596, -0.274, -0.322), (0.211, -0.523, 0.312)])
_RGB = np.linalg.inv(_YIQ)
_STEP = 1024
"""Coefficients are multiples of 1 / 1024, as OpenCV's integer arithmetic for bytes has them: the result is exact."""


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

    def __call__(
        self, pixels: npt.NDArray[np.uint8], into: npt.NDArray[np.uint8] | None = None
    ) -> npt.NDArray[np.uint8]:
        """[h, w, 3] -> the same, changed; cut to 0..255 once, at the end.

        Args:
            pixels: of the picture.
            into: where a change is written, which may be `pixels`; None: new memory.
        """
        if self == UNCHANGED:
            return pixels
        return apply(pixels, matrix(self, mean_grey(pixels) if self.contrast != 1 else 0.0), into)


UNCHANGED = Jitter()


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


def mean_grey(pixels: npt.NDArray[np.uint8]) -> float:
    """Of [h, w, 3], from every fourth row: sums of integers, exact in any order."""
    some = pixels[::4]
    red, green, blue, _ = cv2.sumElems(some)
    return float(np.dot(GREY, (red, green, blue)) / (some.shape[0] * some.shape[1]))


def apply(
    pixels: npt.NDArray[np.uint8], change: npt.NDArray[np.float64], into: npt.NDArray[np.uint8] | None = None
) -> npt.NDArray[np.uint8]:
    """[h, w, 3] and [3, 4] -> the changed pixels, in the memory of `into` where it is given."""
    return np.asarray(cv2.transform(pixels, np.round(change * _STEP) / _STEP, dst=into), np.uint8)
