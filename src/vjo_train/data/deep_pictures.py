"""Pictures of more than 8 bits a colour, such as those of microscopes and scanners."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from vjo_train.data.array_files import is_array
from vjo_train.data.dicom import DicomPicture
from vjo_train.data.opening import decoded, opened
from vjo_train.errors import ConfigError, DataError

Span: TypeAlias = tuple[float, float]
"""The values that are black and white."""
BITS = (8, 10, 12, 14, 16)
"""What cameras and scanners give."""


def as_span(given: Sequence[float] | None) -> Span | None:
    """`dataset.range`, checked.

    Raises:
        ConfigError: the first value is not below the second.
    """
    if given is None:
        return None
    low, high = given
    if not low < high:
        raise ConfigError(f"dataset.range: found [{low:g}, {high:g}]; the first must be below the second.")
    return float(low), float(high)


def is_deep(image: Image.Image) -> bool:
    """Whether an opened picture, not yet decoded, has more than 8 bits a colour."""
    return image.mode.startswith(("I", "F")) or any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))


def told(path: Path, span: Span | None) -> str:
    """How pictures like this one are read, if it has more than 8 bits a colour; else nothing."""
    if is_array(path):
        return ""
    try:
        with opened(path) as image:
            dicom = isinstance(image, DicomPicture) and image.mode == "L"
            if not (dicom or is_deep(image)):
                return ""
    except DataError:  # told where it is read
        return ""
    if dicom and span is None:
        return (
            f"Grey DICOM pictures, such as {path}: each file's window says what is black and white, or else its least"
            " and greatest value (dataset.range=[LOW,HIGH] does for all)."
        )
    if span is not None:
        kind = "Grey DICOM pictures" if dicom else "Pictures of more than 8 bits a colour"
        return f"{kind}, such as {path}: {span[0]:g} is black and {span[1]:g} is white."
    return (
        f"Pictures of 16 bits a colour, such as {path}: each file's greatest value says how many of them it uses"
        " (dataset.range=[LOW,HIGH] sets what is black and white for all)."
    )


def narrowed(image: Image.Image, path: Path | None, span: Span | None) -> Image.Image:
    """A picture in 8 bits a colour: by `to_bytes` where it has more, else as it is, and DICOM by its own rules.

    Args:
        image: where it is of a file, opened and not yet decoded.
        path: its file; None: it is in memory, where Pillow has no colours of more than 8 bits, but grey.
        span: the values that are black and white.

    Raises:
        DataError: the file is damaged; as `to_bytes`.
    """
    if isinstance(image, DicomPicture):
        image.span = span
    if not is_deep(image):
        return image
    if image.mode.startswith(("I", "F")):
        if path is not None:
            decoded(image, path)
        grey = to_bytes(np.asarray(image), str(path or "picture"), span)
        return Image.fromarray(np.repeat(grey[..., None], 3, axis=2))
    if path is None:
        return image
    decoded(image, path)
    values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if values is None or values.ndim != 3 or values.shape[2] < 3:
        raise DataError(f"{path}: has 16 bits a colour in a form that is not read; must be PNG or TIFF, RGB or grey.")
    return Image.fromarray(to_bytes(values[..., 2::-1], str(path), span))


def to_bytes(values: npt.NDArray[Any], name: str, span: Span | None) -> npt.NDArray[np.uint8]:
    """Pixels of any type -> 0..255.

    With a span, its first value becomes 0 and its second 255, and what lies beyond is cut. Without one, whole numbers
    are taken to have as many bits as the greatest of the file needs, of `BITS`, of which the upper 8 are kept; floats
    up to 1 are taken to go from 0 to 1, others up to 255 from 0 to 255.

    Args:
        values: of one file.
        name: of the file, for the message.
        span: the values that are black and white.

    Raises:
        DataError: values that are below 0, too large, or no numbers, without a span.
    """
    low, high = values.min(), values.max()
    if span is not None:
        scaled = (values.astype(np.float32) - span[0]) * (255 / (span[1] - span[0]))
        rounded: npt.NDArray[np.float32] = np.nan_to_num(scaled + 0.5, nan=0)
        return rounded.clip(0, 255).astype(np.uint8)
    whole = np.issubdtype(values.dtype, np.integer)
    if not (low >= 0 and high <= (65_535 if whole else 255)):  # NaN too
        raise DataError(
            f"{name}: found a picture with values from {low:.5g} to {high:.5g}; dataset.range=[LOW,HIGH] says which are"
            " black and white."
        )
    if whole:
        bits = next(bits for bits in BITS if high < 1 << bits)
        return (values.astype(np.int64) >> (bits - 8)).astype(np.uint8)
    grey: npt.NDArray[np.float64] = values * (255.0 if high <= 1 else 1.0) + 0.5
    return grey.clip(0, 255).astype(np.uint8)
