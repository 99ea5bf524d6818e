"""Pictures and maps in NumPy's `.npy` files, as MTAN's data sets are published, or in an array of many."""

from __future__ import annotations

from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import numpy.typing as npt

from vjo_train.data import stacks
from vjo_train.data.opening import MOST_PIXELS
from vjo_train.errors import DataError

SUFFIX = ".npy"


def is_array(name: Path | str) -> bool:
    """Whether a file of that name is taken for an array, or for a picture in one."""
    return str(name).lower().endswith(SUFFIX) or stacks.place_in(name) is not None


def array_size(path: Path) -> tuple[int, int]:
    """(height, width), as the header says; raises as `read_array`."""
    height, width = _opened(path).shape[:2]
    return int(height), int(width)


def read_array(path: Path, channels: int | None, size: tuple[int, int] | None = None) -> npt.NDArray[Any]:
    """[H, W, channels] of a real type; an array [H, W] has one channel.

    Args:
        path: the file.
        channels: that it must have; None: any.
        size: (height, width) that it must have; None: any.

    Raises:
        DataError: the file is missing, damaged, or holds no such array.
    """
    return _read(path, _opened(path), channels, size)


def _read(
    path: Path, found: npt.NDArray[Any], channels: int | None, size: tuple[int, int] | None = None
) -> npt.NDArray[Any]:
    """See `read_array`, of an array that is opened."""
    if size is not None and found.shape[:2] != size:
        raise DataError(
            f"{path}: found a map of {found.shape[1]} x {found.shape[0]} pixels; the image has {size[1]} x {size[0]}, "
            "and both must agree."
        )
    array = found[..., None] if found.ndim == 2 else found
    if channels is not None and array.shape[2] != channels:
        raise DataError(f"{path}: found an array of shape {list(found.shape)}; must be [height, width, {channels}].")
    return np.array(array)


def read_array_picture(path: Path) -> npt.NDArray[np.uint8]:
    """[H, W, 3] of an RGB picture: bytes, or floats from 0 to 1, which are rounded to 256 levels.

    A picture in an array of many may be grey, and its floats from 0 to 255.

    Raises:
        DataError: as `read_array`; there are too many pixels, or other values.
    """
    place, found = stacks.place_in(path), _opened(path)
    height, width = found.shape[:2]
    if height * width > MOST_PIXELS:
        raise DataError(f"{path}: found {width} x {height} pixels; must be at most {MOST_PIXELS} in all.")
    grey = place is not None and (found.ndim == 2 or found.shape[2] == 1)
    pixels = _read(path, found, 1).repeat(3, axis=2) if grey else _read(path, found, 3)
    if place is not None and pixels.dtype.kind == "f":
        pixels = pixels / stacks.white(place)
    if pixels.dtype == np.uint8:
        return pixels
    if not np.issubdtype(pixels.dtype, np.floating):
        raise DataError(f"{path}: found a picture of {pixels.dtype}; must be uint8, or floats from 0 to 1.")
    low, high = pixels.min(), pixels.max()
    if not (low >= 0 and high <= 1):  # NaN too
        raise DataError(f"{path}: found a picture with values from {low:.4g} to {high:.4g}; must be from 0 to 1.")
    return (pixels * 255 + 0.5).astype(np.uint8)


def as_whole(path: Path, values: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """The values of a map of classes, which are their numbers.

    Raises:
        DataError: some are no whole numbers, or have more than 32 bits.
    """
    if values.dtype.kind == "f" and not np.array_equal(values, np.round(values)):  # NaN too
        raise DataError(f"{path}: found values that are no whole numbers; a map of classes holds their numbers.")
    low, high = values.min(initial=0), values.max(initial=0)
    if values.dtype.itemsize >= 4 and not -(1 << 31) <= low <= high < 1 << 31:
        raise DataError(f"{path}: found values from {low} to {high}; a map may hold whole numbers of 32 bits.")
    return values.astype(np.int32)


def _opened(path: Path) -> npt.NDArray[Any]:
    """[H, W] or [H, W, C], not yet read."""
    place = stacks.place_in(path)
    if place is not None:
        return _checked(path, stacks.item(place))
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise DataError(f"{path}: is no regular file; must be a whole .npy file.")
    try:
        found: npt.NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError:
        raise DataError(f"{path}: the file is missing.") from None
    except (OSError, ValueError, TypeError, EOFError, OverflowError, SyntaxError, TokenError) as error:
        raise DataError(f"{path}: damaged or no array ({error}); must be a whole .npy file.") from error
    return _checked(path, found)


def _checked(path: Path, found: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if found.ndim not in (2, 3) or not found.size or found.dtype.kind not in "buif":
        raise DataError(
            f"{path}: found an array of {found.dtype} of shape {list(found.shape)}; must be numbers [height, width] or "
            "[height, width, channels]."
        )
    return found
