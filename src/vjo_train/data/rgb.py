"""From any of Pillow's pictures, or an array, to RGB of 8 bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from vjo_train.errors import DataError


def as_rgb(image: Image.Image, factor: int = 1) -> npt.NDArray[np.uint8]:
    """[H, W, 3] of a picture of 8 bits a colour: an alpha channel is dropped; coarser by `factor`, rounded up."""
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    return np.array(rgb if factor == 1 else rgb.reduce(factor))


def from_array(array: npt.NDArray[Any]) -> Image.Image:
    """An array as the picture that a file of these values would be.

    Args:
        array: [H, W, 3] RGB, [H, W, 4] RGBA, or [H, W] or [H, W, 1] grey, of uint8; grey may be uint16.

    Raises:
        DataError: it is of another type or shape.
    """
    pixels = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    grey = pixels.ndim == 2
    if not (grey or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))) or not pixels.size:
        raise DataError(f"found an array of shape {list(array.shape)}; must be [H, W, 3], [H, W, 4] or [H, W].")
    if pixels.dtype != np.uint8 and not (grey and pixels.dtype == np.uint16):
        scale = " (0..1 times 255)" if pixels.dtype.kind == "f" else ""
        raise DataError(f"found an array of {pixels.dtype}; must be uint8{scale}, or uint16 where it is grey.")
    return Image.fromarray(np.ascontiguousarray(pixels))
