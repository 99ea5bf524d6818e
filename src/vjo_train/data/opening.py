"""Opening image files, and what is wrong with those that cannot be read."""

from __future__ import annotations

import os
import struct
import warnings
import zlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

from vjo_train.data.dicom import DicomPicture
from vjo_train.errors import DataError

BROKEN = (OSError, SyntaxError, ValueError, TypeError, LookupError, OverflowError, EOFError, struct.error, zlib.error)
"""What Pillow raises for a damaged file (its PNG reader raises SyntaxError)."""

MOST_PIXELS = 89_478_485
"""The most pixels of a picture: 256 MiB as RGB. A small file may claim far more, to fill the memory."""

warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # above that limit an error is raised
HEIF = (".heic", ".heif")
"""Extensions of the pictures that Pillow reads by a plugin."""
Image.register_open(DicomPicture.format, DicomPicture)
_PLUGINS = ("pillow_heif", "pydicom", "pylibjpeg", "libjpeg", "openjpeg", "jpeg_ls", "gdcm")
"""Modules without which some pictures cannot be read."""


@cache
def plugins() -> str:
    """Which modules that read some kinds of picture are there: what is kept of files holds only with the same ones."""
    return " ".join(name for name in _PLUGINS if find_spec(name))


def opened(path: Path) -> Image.Image:
    """A picture, not yet decoded.

    Raises:
        DataError: the file is missing, animated, too large, or no picture.
    """
    if path.suffix.lower() in HEIF:
        _read_heif(path)
    if os.path.exists(path) and not os.path.isfile(path):  # no error for a name that no disk can hold
        raise DataError(f"{path}: is no regular file; must be an image file.")
    try:
        image = Image.open(path)
        frames = getattr(image, "n_frames", 1)
    except FileNotFoundError:
        raise DataError(f"{path}: the file is missing.") from None
    except Image.DecompressionBombError as error:
        raise DataError(f"{path}: too large ({error}); at most {MOST_PIXELS} pixels are read.") from error
    except BROKEN as error:
        raise _damaged(path, error) from error
    if image.width * image.height > MOST_PIXELS:
        image.close()
        raise DataError(f"{path}: found {image.width} x {image.height} pixels; must be at most {MOST_PIXELS} in all.")
    if frames > 1 and image.format != "MPO":  # a camera's JPEG with previews behind the picture
        image.close()
        raise DataError(f"{path}: found {frames} frames; must be a still picture.")
    return image


def decoded(image: Image.Image, path: Path) -> None:
    """Decodes at once, so that every fault shows here.

    Raises:
        DataError: the file is damaged.
    """
    try:
        image.load()
    except BROKEN as error:
        raise _damaged(path, error) from error


def _read_heif(path: Path) -> None:
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        raise DataError(f"{path}: HEIC pictures need a plugin: pip install 'vjo-train[heic]'") from None
    register_heif_opener()


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(
        f"{path}: damaged or no picture ({str(error) or type(error).__name__}); must be a whole image file."
    )
