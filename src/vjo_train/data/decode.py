"""From an image file to a tensor: the only place that decodes pictures and masks."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from vjo_train.errors import DataError

_BROKEN = (OSError, SyntaxError, ValueError, TypeError, LookupError, OverflowError, EOFError, struct.error, zlib.error)
"""What Pillow raises for a damaged file (its PNG reader raises SyntaxError)."""

MOST_PIXELS = 89_478_485
"""The most pixels of a picture: 256 MiB as RGB. A small file may claim far more, to fill the memory."""

warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # above that limit an error is raised


def read_image(path: Path) -> Tensor:
    """Any picture that Pillow reads -> uint8 RGB [3, H, W].

    Greyscale, palette and CMYK are converted to RGB; 16-bit grey keeps its upper 8 bits; an alpha channel is
    dropped. The EXIF orientation is ignored, as the devkit does: boxes and masks belong to the stored pixels.

    Raises:
        DataError: the file is missing, truncated, animated, too large, or no picture.
    """
    with _opened(path) as image:
        _decode(image, path)
        if image.mode.startswith("I"):
            grey = np.asarray(image).astype(np.int64).clip(0, 65535) >> 8
            pixels = np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
        else:
            pixels = np.array(image if image.mode == "RGB" else image.convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def check_image(path: Path, size: tuple[int, int]) -> None:
    """Looks for what `read_image` would find wrong; a JPEG is decoded at an eighth of its size, which is quicker.

    Args:
        path: the picture.
        size: (height, width) that its annotation says.

    Raises:
        DataError: as `read_image` and `check_size`.
    """
    with _opened(path) as image:
        check_size(path, (image.height, image.width), size)
        image.draft("L", (image.width // 8, image.height // 8))
        _decode(image, path)


def check_size(path: Path, found: tuple[int, int], annotated: tuple[int, int]) -> None:
    """Compares (height, width) of a picture with what its annotation says.

    Raises:
        DataError: they differ.
    """
    if found != annotated:
        raise DataError(
            f"{path}: found {found[1]} x {found[0]} pixels; its annotation says {annotated[1]} x {annotated[0]}, and "
            "both must agree."
        )


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
    with _opened(path) as image:
        if (image.height, image.width) == size:  # a mask of another size is not worth the memory
            _decode(image, path)
        if image.mode not in ("P", "L"):
            raise DataError(f"{path}: found a mask of mode {image.mode}; must be an 8-bit palette or grey PNG.")
        if (image.height, image.width) != size:
            raise DataError(
                f"{path}: found a mask of {image.width} x {image.height} pixels; "
                f"the image has {size[1]} x {size[0]}, and both must agree."
            )
        indices: npt.NDArray[np.uint8] = np.array(image, dtype=np.uint8)
    wrong = indices[(indices > highest) & (indices != 255)]
    if wrong.size:
        raise DataError(f"{path}: found the index {wrong.max()}; allowed are 0..{highest} ({meaning}) and 255.")
    return torch.from_numpy(indices)


def _opened(path: Path) -> Image.Image:
    """A picture, not yet decoded."""
    if path.exists() and not path.is_file():
        raise DataError(f"{path}: is no regular file; must be an image file.")
    try:
        image = Image.open(path)
        frames = getattr(image, "n_frames", 1)
    except FileNotFoundError:
        raise DataError(f"{path}: the file is missing.") from None
    except Image.DecompressionBombError as error:
        raise DataError(f"{path}: too large ({error}); at most {MOST_PIXELS} pixels are read.") from error
    except _BROKEN as error:
        raise _damaged(path, error) from error
    if image.width * image.height > MOST_PIXELS:
        image.close()
        raise DataError(f"{path}: found {image.width} x {image.height} pixels; must be at most {MOST_PIXELS} in all.")
    if frames > 1 and image.format != "MPO":  # a camera's JPEG with previews behind the picture
        image.close()
        raise DataError(f"{path}: found {frames} frames; must be a still picture.")
    return image


def _decode(image: Image.Image, path: Path) -> None:
    """Decodes at once, so that every fault shows here."""
    try:
        image.load()
    except _BROKEN as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(
        f"{path}: damaged or no picture ({str(error) or type(error).__name__}); must be a whole image file."
    )
