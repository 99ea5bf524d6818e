"""From an image file to a tensor: the only place that decodes pictures and masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from vjo_train.errors import DataError

_BROKEN = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
"""What Pillow raises for a damaged file (its PNG reader raises SyntaxError)."""


def read_image(path: Path) -> Tensor:
    """Any picture that Pillow reads -> uint8 RGB [3, H, W].

    Greyscale, palette and CMYK are converted to RGB; 16-bit grey keeps its upper 8 bits; an alpha channel is
    dropped. The EXIF orientation is ignored, as the devkit does: boxes and masks belong to the stored pixels.

    Raises:
        DataError: the file is missing, truncated, or no picture.
    """
    with _open(path) as image:
        if image.mode.startswith("I"):
            grey = np.asarray(image).astype(np.int64).clip(0, 65535) >> 8
            pixels = np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
        else:
            pixels = np.array(image if image.mode == "RGB" else image.convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def read_mask(path: Path, size: tuple[int, int], highest: int, meaning: str) -> Tensor:
    """A palette or grey PNG -> its indices as uint8 [H, W]; 255 is border or ignored.

    Args:
        path: the mask.
        size: (height, width) that it must have.
        highest: the greatest index allowed besides 255.
        meaning: what the indices are, for the message, such as `classes`.

    Raises:
        DataError: the file is missing, damaged, of another size or kind, or holds an index above `highest`.
    """
    with _open(path) as image:
        if image.mode not in ("P", "L"):
            raise DataError(f"{path}: found a mask of mode {image.mode}; must be an 8-bit palette or grey PNG.")
        indices: npt.NDArray[np.uint8] = np.array(image, dtype=np.uint8)
    if indices.shape != size:
        raise DataError(
            f"{path}: found a mask of {indices.shape[1]} x {indices.shape[0]} pixels; "
            f"the image has {size[1]} x {size[0]}, and both must agree."
        )
    wrong = indices[(indices > highest) & (indices != 255)]
    if wrong.size:
        raise DataError(f"{path}: found the index {wrong.max()}; allowed are 0..{highest} ({meaning}) and 255.")
    return torch.from_numpy(indices)


def _open(path: Path) -> Image.Image:
    """Opens and decodes at once, so that every fault shows here."""
    try:
        image = Image.open(path)
        image.load()
    except FileNotFoundError:
        raise DataError(f"{path}: the file is missing.") from None
    except _BROKEN as error:
        raise DataError(f"{path}: damaged or no picture ({error}); must be a whole image file.") from error
    return image
