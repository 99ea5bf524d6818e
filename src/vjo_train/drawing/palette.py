"""A fixed colour for each class: the colour map of the PASCAL VOC devkit."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

Colour = tuple[int, int, int]


@cache
def voc_palette() -> npt.NDArray[np.uint8]:
    """[256, 3]: bit j of an index, counted in threes, sets bit 7 - j of red, green and blue in turn.

    0 (background) is black, k + 1 belongs to class k, and 255 (ignored) is off-white. It cannot be written to.
    """
    index = np.arange(256)
    colours = np.zeros((256, 3), dtype=np.uint8)
    for bit in range(8):
        for channel in range(3):
            colours[:, channel] |= (((index >> (3 * bit + channel)) & 1) << (7 - bit)).astype(np.uint8)
    colours.setflags(write=False)
    return colours


@cache
def class_colour(label: int) -> Colour:
    """The colour of class `label`, brightened (square root of each channel) so that thin lines stand out."""
    red, green, blue = (round(255 * (int(c) / 255) ** 0.5) for c in voc_palette()[(label + 1) % 256])
    return red, green, blue


def text_colour(background: Colour) -> Colour:
    """Black or white, whichever is easier to read on `background` (by Rec. 601 luma)."""
    red, green, blue = background
    return (0, 0, 0) if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else (255, 255, 255)
