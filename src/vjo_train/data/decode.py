"""From an image file to a tensor: the only place that decodes pictures and masks.

simplejpeg (libjpeg-turbo) decodes sound RGB and grey JPEG files, to the same bits as Pillow, in two thirds of the time;
Pillow decodes, or finds fault with, all others.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg
import torch
from PIL import Image
from torch import Tensor

from vjo_train.data.array_files import array_size, as_whole, is_array, read_array, read_array_picture
from vjo_train.data.deep_pictures import Span, is_deep, narrowed
from vjo_train.data.dicom import DicomPicture
from vjo_train.data.opening import MOST_PIXELS, decoded, opened
from vjo_train.data.orientation import on_its_side, orientation, upright
from vjo_train.data.rgb import as_rgb
from vjo_train.errors import DataError
from vjo_train.types import IGNORE, Canvas

JPEG = b"\xff\xd8\xff"
"""How a JPEG file begins."""


class OtherSizeError(DataError):
    """A picture is of another size than its annotation says."""


def reduction(size: tuple[int, int], canvas: Canvas) -> int:
    """By how much a picture that is scaled to fit on a canvas is reduced while it is decoded: 1, 2, 4 or 8.

    The picture stays at least twice as large as it will be, so that the resizing that follows still averages over
    pixels, and a crop has something to show.

    Args:
        size: (height, width) of the picture.
        canvas: (height, width) that it will be scaled to.
    """
    (height, width), (most_height, most_width) = size, canvas
    return next((f for f in (8, 4, 2) if height >= 2 * f * most_height or width >= 2 * f * most_width), 1)


def read_image(
    path: Path, canvas: Canvas | None = None, size: tuple[int, int] | None = None, span: Span | None = None
) -> Tensor:
    """Any picture that Pillow reads, a DICOM or `.npy` file -> uint8 RGB [3, H, W], a pixel's colours side by side.

    Greyscale, palette and CMYK are converted to RGB; an alpha channel is dropped; more than 8 bits a colour become 8 by
    `to_bytes`, those of DICOM by `as_grey`. The EXIF orientation is ignored, as the devkit does: boxes and masks belong
    to the stored pixels. But
    where `size` fits the picture as viewers show it, and not as it is stored, they belong to the shown one.

    Args:
        path: the picture.
        canvas: the picture is reduced by `reduction(size, canvas)`, its sides rounded up: pixel (0, 0) is the mean of
            the first 2 x 2, 4 x 4 or 8 x 8. None: as it is in the file.
        size: (height, width) that its annotation says; None where there is none.
        span: what is black and white in pictures of more than 8 bits a colour.

    Raises:
        DataError: the file is missing, truncated, animated, too large, or no picture; as `check_size` and `to_bytes`.
    """
    try:
        return _stored(path, canvas, size, span)
    except OtherSizeError:
        if size is None or (turn := _turn(path, size)) == 1:
            raise
    return upright(_stored(path, canvas and canvas[::-1], size[::-1], span), turn)


def _stored(path: Path, canvas: Canvas | None, size: tuple[int, int] | None, span: Span | None) -> Tensor:
    pixels = _turbo(path, canvas, size)
    return torch.from_numpy(_pillow(path, canvas, size, span) if pixels is None else pixels).permute(2, 0, 1)


def _turn(path: Path, size: tuple[int, int]) -> int:
    """The orientation of a picture that is not stored in a size, but shown in it; else 1."""
    found = orientation(path)
    return found if on_its_side(found) and read_size(path) == size[::-1] else 1


def _turbo(path: Path, canvas: Canvas | None, size: tuple[int, int] | None) -> npt.NDArray[np.uint8] | None:
    """[H, W, 3]; None for what is no sound RGB or grey JPEG of the size that it should have."""
    try:
        if not path.is_file():
            return None
        with open(path, "rb", buffering=0) as file:
            start = file.read(3)
            if start != JPEG:
                return None
            content = start + file.read()
        height, width, colours, _ = simplejpeg.decode_jpeg_header(content)
        if colours not in ("YCbCr", "RGB", "Gray") or height * width > MOST_PIXELS:
            return None
        if size is not None and (height, width) != size:
            return None
        factor = 1 if canvas is None else reduction((height, width), canvas)
        least = {} if factor == 1 else {"min_height": -(-height // factor), "min_width": -(-width // factor)}
        pixels: npt.NDArray[np.uint8] = simplejpeg.decode_jpeg(content, **least)
    except (OSError, ValueError):  # Pillow says what is wrong, or reads it all the same
        return None
    return pixels


def _pillow(
    path: Path, canvas: Canvas | None, size: tuple[int, int] | None, span: Span | None
) -> npt.NDArray[np.uint8]:
    """[H, W, 3]."""
    with Image.fromarray(read_array_picture(path)) if is_array(path) else opened(path) as image:
        if size is not None:
            check_size(path, (image.height, image.width), size)
        small = narrowed(image, path, span)
        decoded(image, path)
        factor = 1 if canvas is None else reduction((image.height, image.width), canvas)
        return as_rgb(small, factor)


def check_image(path: Path, size: tuple[int, int], span: Span | None = None) -> None:
    """Looks for what `read_image` would find wrong; a JPEG is decoded at an eighth of its size, which is quicker.

    Args:
        path: the picture.
        size: (height, width) that its annotation says.
        span: as of `read_image`.

    Raises:
        DataError: as `read_image` and `check_size`.
    """
    if is_array(path):
        _pillow(path, None, size, None)
        return
    with opened(path) as image:
        if (image.height, image.width) != size and _turn(path, size) == 1:
            check_size(path, (image.height, image.width), size)
        if is_deep(image):
            _pillow(path, None, None, span)
            return
        image.draft("L", (max(1, image.width // 8), max(1, image.height // 8)))
        decoded(image, path)


def shown_size(path: Path) -> tuple[int, int]:
    """(height, width) of a picture as viewers show it; raises as `read_size`."""
    height, width = read_size(path)
    return (width, height) if on_its_side(orientation(path)) else (height, width)


def read_size(path: Path) -> tuple[int, int]:
    """(height, width) of a picture as its header says; nothing is decoded.

    Raises:
        DataError: the file is missing, animated, too large, or no picture.
    """
    if is_array(path):
        return array_size(path)
    with opened(path) as image:
        return image.height, image.width


def check_size(path: Path, found: tuple[int, int], annotated: tuple[int, int]) -> None:
    """Compares (height, width) of a picture with what its annotation says.

    Raises:
        OtherSizeError: they differ.
    """
    if found != annotated:
        raise OtherSizeError(
            f"{path}: found {found[1]} x {found[0]} pixels; its annotation says {annotated[1]} x {annotated[0]}, and "
            "both must agree."
        )


def read_mask(path: Path, size: tuple[int, int], highest: int, meaning: str) -> Tensor:
    """A palette or grey PNG -> its indices [H, W]: uint8, 255 being border or ignored.

    In a grey PNG of 16 bits, 65535 is border too. Where there are 255 indices or more, 255 is one of them: the result
    is int16, and the border 0.

    Args:
        path: the mask.
        size: (height, width) that it must have.
        highest: the greatest index allowed besides those of the border, at most 32767.
        meaning: what the indices are, for the message, such as `classes`.

    Raises:
        DataError: the file is missing, damaged, of another size or kind, or holds an index above `highest`.
    """
    indices = _indices(path, size)
    many = highest >= IGNORE and indices.dtype == np.int32
    border = (indices == 65_535) if many else (indices == IGNORE) | (indices == 65_535)
    wrong = indices[(indices > highest) & ~border]
    if wrong.size:
        last = 65_535 if many else IGNORE
        raise DataError(f"{path}: found the index {wrong.max()}; allowed are 0..{highest} ({meaning}) and {last}.")
    indices[border] = 0 if many else IGNORE
    return torch.from_numpy(indices.astype(np.int16 if many else np.uint8))


def read_values(path: Path, size: tuple[int, int], *, lossy: bool = False) -> Tensor:
    """A palette or grey PNG of 8 or 16 bits, or a `.npy` file -> its values as int32 [H, W].

    Args:
        path: the map.
        size: (height, width) that it must have.
        lossy: it says yes and no alone, so that it may be a JPEG, whose values are near what was meant: 255 above 127,
            0 below.

    Raises:
        DataError: as `read_mask`; a JPEG that may not be one.
    """
    if not is_array(path):
        indices = _indices(path, size)
        if is_lossy(path):
            if not lossy:
                raise DataError(f"{path}: is a JPEG, which does not keep values as they are; must be a PNG.")
            indices = np.where(indices > 127, 255, 0)
        return torch.from_numpy(indices.astype(np.int32))
    return torch.from_numpy(as_whole(path, read_array(path, 1, size)[..., 0]))


def read_numbers(path: Path, size: tuple[int, int]) -> Tensor:
    """A grey PNG of 8 or 16 bits, or a `.npy` file -> its values as float32 [H, W], as they are; raises as `read_mask`.

    Args:
        path: the map.
        size: (height, width) that it must have.
    """
    if not is_array(path):
        return torch.from_numpy(_indices(path, size).astype(np.float32))
    return torch.from_numpy(read_array(path, 1, size)[..., 0].astype(np.float32))


def read_vectors(path: Path, size: tuple[int, int]) -> Tensor:
    """An RGB PNG of 8 or 16 bits -> float32 [3, H, W] in -1..1, none to full; a `.npy` file [H, W, 3] as it is.

    Raises:
        DataError: as `read_mask`.
    """
    if is_array(path):
        return torch.from_numpy(read_array(path, 3, size).astype(np.float32)).permute(2, 0, 1).contiguous()
    with opened(path) as image:
        check_size(path, (image.height, image.width), size)
        decoded(image, path)
    # Pillow keeps 8 bits of a colour.
    values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if values is None or values.ndim != 3 or values.shape[2] < 3 or values.dtype not in (np.uint8, np.uint16):
        raise DataError(f"{path}: must be an RGB picture of 8 or 16 bits a colour.")
    most = 255 if values.dtype == np.uint8 else 65535
    colours = np.ascontiguousarray(values[..., 2::-1].transpose(2, 0, 1))
    return torch.from_numpy(colours.astype(np.float32)) * (2 / most) - 1


def _indices(path: Path, size: tuple[int, int]) -> npt.NDArray[np.integer[Any]]:
    """uint8 of a picture of 8 bits, int32 of one of 16."""
    with opened(path) as image:
        if isinstance(image, DicomPicture):  # its values are windowed
            raise DataError(f"{path}: is a DICOM file, which is read as a picture alone; a mask must be a PNG.")
        if (image.height, image.width) == size:  # a mask of another size is not worth the memory
            decoded(image, path)
            image = _one_grey(image)
        if image.mode not in ("1", "P", "L") and not image.mode.startswith("I"):
            raise DataError(f"{path}: found a mask of mode {image.mode}; must be an 8-bit palette PNG, or a grey one.")
        if (image.height, image.width) != size:
            raise DataError(
                f"{path}: found a mask of {image.width} x {image.height} pixels; "
                f"the image has {size[1]} x {size[0]}, and both must agree."
            )
        indices: npt.NDArray[np.integer[Any]] = np.array(
            image, dtype=np.int32 if image.mode.startswith("I") else np.uint8
        )
    return indices


def _one_grey(image: Image.Image) -> Image.Image:
    """The grey picture that some tools save as three equal colours; others as they are."""
    if image.mode not in ("RGB", "RGBA", "LA"):
        return image
    red, *others = (image.getchannel(channel) for channel in ("L" if image.mode == "LA" else "RGB"))
    return red if all(red.tobytes() == other.tobytes() for other in others) else image


def is_lossy(path: Path) -> bool:
    """Whether a map is a JPEG, by its first bytes: its values are only near what was meant."""
    with path.open("rb") as file:
        return file.read(3) == JPEG
