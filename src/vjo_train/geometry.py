"""Coordinates: the one place that knows the devkit's 1-based inclusive pixels, and COCO's numbers of pixels."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt
from torch import Tensor

PIXEL_CENTRE = 0.5
"""COCO's key points are 0-based numbers of pixels: in continuous pixels, they lie in the middle of these. Its boxes and
polygons are continuous. Detectron does the same."""

Boxes = TypeVar("Boxes", Tensor, npt.NDArray[np.float32], npt.NDArray[np.float64])


def from_devkit(boxes: Boxes) -> Boxes:
    """1-based inclusive `[..., 4]` xyxy -> 0-based continuous (left and top edges move by one pixel).

    The devkit's width `x2 - x1 + 1` becomes `x2 - x1`, so areas and IoUs are the same on both sides.
    """
    out = boxes.clone() if isinstance(boxes, Tensor) else boxes.copy()
    out[..., :2] -= 1
    return out


def to_devkit(boxes: Boxes) -> Boxes:
    """0-based continuous `[..., 4]` xyxy -> 1-based inclusive: the inverse of `from_devkit`."""
    out = boxes.clone() if isinstance(boxes, Tensor) else boxes.copy()
    out[..., :2] += 1
    return out
