"""Resizing and colours straight into a canvas: what the libraries give by themselves, to the bit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from vjo_train.data.colour import Jitter
from vjo_train.data.resizing import resize


def picture(height: int = 75, width: int = 101) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [(40, 31), (75, 60), (60, 150), (1, 1)], ids=str)
@pytest.mark.parametrize("rows", [slice(None), slice(3, 71)], ids=["whole", "a part"])
@pytest.mark.parametrize("planes", [False, True], ids=["side by side", "planes"])
def test_what_becomes_smaller_is_torchs_antialiased_picture(size: tuple[int, int], rows: slice, planes: bool) -> None:
    """Told where to write, it writes what it does by itself in planes."""
    whole = np.ascontiguousarray(picture().transpose(2, 0, 1)).transpose(1, 2, 0) if planes else picture()
    pixels = whole[rows, 5:90]
    canvas = np.zeros((200, 200, 3), np.uint8)
    factors = size[0] / pixels.shape[0], size[1] / pixels.shape[1]
    resize(pixels, canvas[10 : 10 + size[0], 20 : 20 + size[1]], factors)
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    expected = torch.ops.aten._upsample_bilinear2d_aa(image, size, False, *factors)[0].numpy().transpose(1, 2, 0)
    assert np.array_equal(canvas[10 : 10 + size[0], 20 : 20 + size[1]], expected)
    canvas[10 : 10 + size[0], 20 : 20 + size[1]] = 0
    assert not canvas.any()


def test_colours_change_in_place_as_they_do_in_new_memory() -> None:
    jitter = Jitter(brightness=1.1, contrast=0.7, saturation=1.4, hue=1.03)
    canvas = np.zeros((100, 200, 3), np.uint8)
    place = canvas[5:80, 7:108]
    place[:] = picture()
    jitter(place, into=place)
    assert np.array_equal(place, jitter(picture()))
    assert Jitter()(place, into=place) is place
