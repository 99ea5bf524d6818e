"""Maps of classes and objects, of numbers or colours, whatever their file and size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vjo_train.data.array_files import as_whole, is_array
from vjo_train.data.decode import is_lossy, read_image, read_size, read_values
from vjo_train.data.mat_files import is_mat, read_matrix
from vjo_train.data.opening import opened
from vjo_train.errors import DataError

OTHER_SIZE = "map of another size"
"""The kind of note on a map that is enlarged or reduced to its picture's size."""


def read_map(path: Path, size: tuple[int, int], *, lossy: bool = False, variable: str | None = None) -> Tensor:
    """int32 [H, W]: the numbers of a PNG, a `.npy` or a `.mat` file, in the pixels of their picture.

    A map that has fewer or more pixels than its picture, and the same shape, is taken by the nearest pixel.

    Args:
        path: the map.
        size: (height, width) of its picture.
        lossy: as of `read_values`.
        variable: of a `.mat` file; None: the only one.

    Raises:
        DataError: as `read_values` and `read_matrix`; a map of another shape.
        ConfigError: as `read_matrix`.
    """
    if is_mat(path):
        values = torch.from_numpy(as_whole(path, read_matrix(path, variable)))
        _check_shape(path, _sides(values.shape), size)
    else:
        values = read_values(path, own_size(path, size), lossy=lossy)
    return _fitted(values, size)


def read_colours(path: Path, size: tuple[int, int]) -> Tensor:
    """uint8 RGB [3, H, W] of a map in colours, in the pixels of its picture; see `read_map`."""
    return _fitted(read_image(path, None, own_size(path, size)), size)


def read_objects(path: Path, size: tuple[int, int], variable: str | None = None) -> npt.NDArray[np.int64]:
    """[H, W]: the values of a map, of colours R + 256 G + 65536 B; see `read_map`."""
    if not (is_array(path) or is_mat(path)):
        with opened(path) as image:
            coloured = image.mode in ("RGB", "RGBA")
        if coloured and not is_lossy(path):
            red, green, blue = read_colours(path, size).numpy().astype(np.int64)
            coded: npt.NDArray[np.int64] = red | (green << 8) | (blue << 16)
            return coded
    values: npt.NDArray[np.int64] = read_map(path, size, variable=variable).numpy().astype(np.int64)
    return values


def own_size(path: Path, size: tuple[int, int], variable: str | None = None) -> tuple[int, int]:
    """(height, width) of a map whose picture is of `size`.

    Raises:
        DataError: it cannot be read, or has another shape.
        ConfigError: as `read_matrix`.
    """
    found = _sides(read_matrix(path, variable).shape) if is_mat(path) else read_size(path)
    _check_shape(path, found, size)
    return found


def other_sizes(
    maps: Iterable[tuple[int, Path, tuple[int, int]]], variable: str | None = None
) -> list[tuple[int, str, str]]:
    """Notes on the images some of whose maps have not their size; maps that are faulty are left out.

    Args:
        maps: row of the image, a map of it, and (height, width) of the picture.
        variable: as of `read_map`.
    """
    found: dict[int, str] = {}
    for row, path, size in maps:
        with suppress(DataError):
            height, width = own_size(path, size, variable)
            if (height, width) != size:
                found.setdefault(row, f"{path.name}: {width} x {height} pixels; the image has {size[1]} x {size[0]}")
    return [(row, OTHER_SIZE, said) for row, said in found.items()]


def _check_shape(path: Path, found: tuple[int, int], size: tuple[int, int]) -> None:
    """Whether the one is the other enlarged, where a side may be rounded by less than a pixel of the smaller one."""
    (height, width), (picture_height, picture_width) = found, size
    if abs(height * picture_width - width * picture_height) >= max(*found, *size) and found != size:
        raise DataError(
            f"{path}: found a mask of {width} x {height} pixels; the image has {picture_width} x {picture_height}. "
            "Both must agree, or be of one shape."
        )


def _fitted(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """[..., h, w] -> [..., *size], each pixel that of the map under its middle."""
    found = _sides(maps.shape)
    if found == size:
        return maps
    rows, columns = (
        (2 * torch.arange(wanted) + 1) * there // (2 * wanted) for wanted, there in zip(size, found, strict=True)
    )
    return maps[..., rows[:, None], columns]


def _sides(shape: Sequence[int]) -> tuple[int, int]:
    height, width = shape[-2:]
    return height, width
