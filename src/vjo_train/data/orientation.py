"""Which way up a picture is to be shown, by what its camera has written into it."""

from __future__ import annotations

import struct
from pathlib import Path

from PIL import ExifTags, Image
from torch import Tensor

from vjo_train.data.array_files import is_array
from vjo_train.data.opening import opened
from vjo_train.errors import DataError

_BROKEN = (OSError, SyntaxError, ValueError, TypeError, LookupError, OverflowError, EOFError, struct.error)
"""What Pillow raises for EXIF data that make no sense."""


def orientation_of(image: Image.Image) -> int:
    """The EXIF orientation, 1..8; 1, as stored, where there is none that can be read, as viewers do it."""
    try:
        found = image.getexif().get(ExifTags.Base.Orientation, 1)
    except _BROKEN:
        return 1
    return found if found in range(1, 9) else 1


def orientation(path: Path) -> int:
    """That of a picture file; 1 for what cannot be read."""
    if is_array(path):
        return 1
    try:
        with opened(path) as image:
            return orientation_of(image)
    except DataError:
        return 1


def on_its_side(orientation: int) -> bool:
    """Whether a picture of this orientation is shown with its sides exchanged."""
    return orientation >= 5


def upright(image: Tensor, orientation: int) -> Tensor:
    """The stored pixels [3, H, W] of a picture as its EXIF orientation says they are to be shown."""
    pixels = image.permute(1, 2, 0)
    if orientation in (2, 4, 5, 7):  # mirrored
        pixels = pixels.flip(1)
    turns = {3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}.get(orientation, 0)  # of 90 degrees, against the clock
    return pixels.rot90(turns).contiguous().permute(2, 0, 1)
