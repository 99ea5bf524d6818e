"""Bilinear resizing of pictures, antialiased where they become smaller: whichever library is quicker.

OpenCV enlarges in half of torch's time, and is no further from the exact values; where it reduces, it takes samples or
is slow. torch reduces as torchvision and Pillow do.
"""

from __future__ import annotations

from math import isclose

import cv2
import numpy as np
import numpy.typing as npt
import torch

cv2.setNumThreads(0)  # pictures are loaded side by side as it is, and its threads do not outlive a fork


def resize(pixels: npt.NDArray[np.uint8], place: npt.NDArray[np.uint8], factors: tuple[float, float]) -> None:
    """Writes a picture to its place, in the size that it has there.

    Args:
        pixels: [h, w, 3].
        place: [H, W, 3], such as a part of a canvas; a pixel's three values are side by side in memory.
        factors: new pixels per old one, down and across. They may say that the last row or column of `pixels` is no
            whole pixel, which the sizes cannot.
    """
    height, width, _ = place.shape
    if factors == (1.0, 1.0):
        place[:] = pixels
    elif min(factors) >= 1 and _whole(pixels, place, factors):
        cv2.resize(pixels, (width, height), dst=place, interpolation=cv2.INTER_LINEAR)
    else:
        image = torch.from_numpy(pixels).permute(2, 0, 1)[None]
        place[:] = _smaller(image, (height, width), factors)[0].permute(1, 2, 0).numpy()


def _smaller(image: torch.Tensor, size: tuple[int, int], factors: tuple[float, float]) -> torch.Tensor:
    """[1, 3, h, w] -> [1, 3, *size], antialiased."""
    if image.stride(1) != 1:
        return torch.ops.aten._upsample_bilinear2d_aa(image, size, False, *factors)  # type: ignore[no-any-return]
    # By itself it would write the colours in planes, and putting them side by side takes as long again.
    small = torch.empty((1, 3, *size), dtype=torch.uint8, memory_format=torch.channels_last)
    torch.ops.aten._upsample_bilinear2d_aa.out(image, size, False, *factors, out=small)
    return small


def _whole(pixels: npt.NDArray[np.uint8], place: npt.NDArray[np.uint8], factors: tuple[float, float]) -> bool:
    """Whether the sizes say what the factors say."""
    return all(isclose(old * factor, new) for old, factor, new in zip(pixels.shape, factors, place.shape, strict=False))
