"""Pictures and maps in `.npy` files: what is read, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vjo_train.data.decode import check_image, read_image, read_numbers, read_size, read_values, read_vectors
from vjo_train.errors import DataError

SIZE = (4, 6)


def saved(folder: Path, array: Any, name: str = "a.npy") -> Path:
    np.save(folder / name, array, allow_pickle=True)
    return folder / name


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.uint8])
def test_a_picture_is_that_of_the_png(tmp_path: Path, kind: Any) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 48, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    path = saved(tmp_path, pixels if kind is np.uint8 else (pixels / 255).astype(kind))
    assert read_size(path) == (64, 48)
    check_image(path, (64, 48))
    np.testing.assert_array_equal(read_image(path), read_image(tmp_path / "a.png"))
    small = [read_image(one, (12, 16), (64, 48)) for one in (path, tmp_path / "a.png")]
    np.testing.assert_array_equal(*small)
    assert small[0].shape == (3, 32, 24), "reduced while it is decoded"


def test_maps_keep_their_values(tmp_path: Path) -> None:
    classes = np.array([[-1.0, 0, 12]] * 4).repeat(2, axis=1)
    assert read_values(saved(tmp_path, classes), SIZE).tolist() == classes.astype(int).tolist()
    many = np.full(SIZE, (1 << 24) + 1, np.uint32)
    assert read_values(saved(tmp_path, many), SIZE).tolist() == many.tolist(), "more than float32 keeps"
    depth = np.random.default_rng(0).random((*SIZE, 1)) * 10
    np.testing.assert_allclose(read_numbers(saved(tmp_path, depth), SIZE), depth[..., 0].astype(np.float32))
    normals = np.random.default_rng(0).normal(size=(*SIZE, 3))
    found = read_vectors(saved(tmp_path, normals), SIZE)
    np.testing.assert_allclose(found, normals.transpose(2, 0, 1).astype(np.float32))


@pytest.mark.parametrize(
    ("array", "read", "said"),
    [
        (np.zeros((4, 6)), lambda path: read_image(path), r"array of shape \[4, 6\]; must be \[height, width, 3\]"),
        (np.full((4, 6, 3), 1.5), lambda path: read_image(path), "values from 1.5 to 1.5; must be from 0 to 1"),
        (np.full((4, 6, 3), np.nan), lambda path: read_image(path), "values from nan to nan; must be from 0 to 1"),
        (np.zeros((4, 6, 3), np.int32), lambda path: read_image(path), "picture of int32; must be uint8, or floats"),
        (np.zeros((4, 6, 3)), lambda path: check_image(path, (6, 4)), "found 6 x 4 pixels; its annotation says 4 x 6"),
        (np.zeros((4, 7)), lambda path: read_values(path, SIZE), "found a map of 7 x 4 pixels; the image has 6 x 4"),
        (np.full(SIZE, 0.5), lambda path: read_values(path, SIZE), "values that are no whole numbers"),
        (np.full(SIZE, np.nan), lambda path: read_values(path, SIZE), "values that are no whole numbers"),
        (np.full(SIZE, 1 << 32), lambda path: read_values(path, SIZE), "values from 0 to 4294967296; .* of 32 bits"),
        (np.zeros((4, 6, 2)), lambda path: read_vectors(path, SIZE), r"must be \[height, width, 3\]"),
        (np.zeros(7), lambda path: read_size(path), r"found an array of float64 of shape \[7\]; must be numbers"),
        (np.zeros((4, 6), np.complex64), lambda path: read_size(path), "found an array of complex64"),
        (np.array([[None]]), lambda path: read_size(path), "damaged or no array"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, array: Any, read: Callable[[Path], Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        read(saved(tmp_path, array))


@given(st.data())
def test_damaged_files_are_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = saved(tmp_path_factory.mktemp("npy"), np.zeros((4, 6, 3)))
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    for read in (read_image, read_size):
        with pytest.raises(DataError, match="damaged or no array"):
            read(path)


def test_a_missing_file_and_a_huge_claim(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the file is missing"):
        read_image(tmp_path / "a.npy")
    path = tmp_path / "huge.npy"
    np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(20_000, 20_000, 3)).flush()
    with pytest.raises(DataError, match="found 20000 x 20000 pixels; must be at most"):
        read_image(path)
