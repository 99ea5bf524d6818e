"""Augmentation: random changes are drawn here, from a picture's size and boxes alone; `letterbox` carries them out."""

from __future__ import annotations

import hashlib
from typing import Annotated

import numpy as np
import numpy.typing as npt
from annotated_types import Interval

from vjo_train.data import colour

_LEAST_IOUS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, None)

Window = tuple[int, int, int, int]
"""left, top, right, bottom in whole pixels of the picture; may reach beyond it."""


class Augment:
    """Random changes of training pictures. A probability of 0 turns a change off.

    They come in this order: zoom out, crop, flip, letterbox, jitter. The crop keeps the boxes whose centre is inside
    and clips them.

    Args:
        zoom_out: probability that the picture is laid at random on a larger ground of the mean colour (Liu et al.
            2016, SSD), which makes its objects smaller.
        zoom_out_max: greatest side of that ground, relative to the picture.
        crop: probability of a crop: by a random least IoU with some box (SSD); in a picture without boxes, its middle
            lies anywhere on it.
        flip: probability of a mirror image.
        jitter: probability of each of the changes of brightness, contrast, saturation and hue.
        jitter_strength: factors of brightness (a quarter of it), contrast and saturation lie within 1 +- this, and
            the hue turns by up to a tenth of it.
    """

    def __init__(
        self,
        *,
        zoom_out: Annotated[float, Interval(ge=0, le=1)] = 0.3,
        zoom_out_max: Annotated[float, Interval(ge=1, le=8)] = 2.0,
        crop: Annotated[float, Interval(ge=0, le=1)] = 0.5,
        flip: Annotated[float, Interval(ge=0, le=1)] = 0.5,
        jitter: Annotated[float, Interval(ge=0, le=1)] = 0.5,
        jitter_strength: Annotated[float, Interval(ge=0, le=1)] = 0.5,
    ) -> None:
        self.flip, self.crop, self.jitter, self.jitter_strength = flip, crop, jitter, jitter_strength
        self.zoom_out, self.zoom_out_max = zoom_out, zoom_out_max

    def window(
        self, boxes: npt.NDArray[np.float32], height: int, width: int, rng: np.random.Generator
    ) -> tuple[Window, bool]:
        """Draws what part of the picture is seen, or which ground it lies on.

        Args:
            boxes: [N, 4] xyxy.
            height: of the picture in pixels.
            width: of the picture in pixels.
            rng: all randomness.

        Returns:
            The window, and whether boxes whose centre is outside it are dropped: it is a crop.
        """
        left, top, right, bottom = 0, 0, width, height
        zooms, side, x, y, crops = rng.random(5).tolist()
        if zooms < self.zoom_out:
            side = 1 + side * (self.zoom_out_max - 1)
            across, down = int(width * side), int(height * side)
            left, top = -int((across - width) * x), -int((down - height) * y)
            right, bottom = left + across, top + down
        if crops < self.crop:
            shift = np.array([left, top, left, top], np.float32)
            crop = sample_crop(
                boxes - shift, bottom - top, right - left, rng, (-left, -top, width - left, height - top)
            )
            if crop is not None:
                return (crop[0] + left, crop[1] + top, crop[2] + left, crop[3] + top), True
        return (left, top, right, bottom), False

    def flips(self, rng: np.random.Generator) -> bool:
        """Draws whether the picture is mirrored."""
        return rng.random() < self.flip

    def colours(self, rng: np.random.Generator) -> colour.Jitter:
        """Draws how the colours change."""
        strength = self.jitter_strength
        changes, spreads = rng.random(4) < self.jitter, np.array([0.25 * strength, strength, strength, 0.1 * strength])
        return colour.Jitter(*(1 + changes * spreads * (2 * rng.random(4) - 1)).tolist())


def sample_crop(
    boxes: npt.NDArray[np.float32], height: int, width: int, rng: np.random.Generator, picture: Window | None = None
) -> Window | None:
    """A window as SSD draws it (Liu et al. 2016): it holds the centre of some box, if there is one, and overlaps it.

    The least IoU is drawn from 0, 0.1, 0.3, 0.5, 0.7, 0.9, or no crop at all; sides are 0.3 to 1 of the picture's,
    their ratio is 0.5 to 2; the first of 40 windows that serves is taken, else another IoU is drawn. torchvision's
    RandomIoUCrop does the same one window at a time, an order of magnitude slower.

    Args:
        boxes: [N, 4] xyxy.
        height: of the ground in pixels.
        width: of the ground in pixels.
        rng: all randomness.
        picture: where it lies on the ground, on which the middle of the window lies if there are no boxes; None: it is
            the ground.

    Returns:
        left, top, right, bottom in whole pixels; None for no crop.
    """
    on_it = np.array([picture or (0, 0, width, height)], np.int64)
    sides = np.array([width, height])
    while (least := _LEAST_IOUS[rng.integers(len(_LEAST_IOUS))]) is not None:
        draws = rng.random((2, 40, 2))
        new = (sides * (0.3 + 0.7 * draws[0])).astype(np.int64)
        start = ((sides - new) * draws[1]).astype(np.int64)
        windows = np.concatenate([start, start + new], axis=1)
        upright = (new[:, 0] <= 2 * new[:, 1]) & (new[:, 1] <= 2 * new[:, 0])
        if len(boxes):
            inside = centres_inside(boxes, windows)
            serves = inside.any(axis=1) & ((_ious(windows, boxes) * inside).max(axis=1, initial=0) >= least)
        else:
            serves = (new > 0).all(axis=1) & centres_inside(windows.astype(np.float32), on_it)[0]
        fits = np.flatnonzero(upright & serves)
        if len(fits):
            left, top, right, bottom = windows[fits[0]].tolist()
            return left, top, right, bottom
    return None


def centres_inside(boxes: npt.NDArray[np.float32], windows: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """[N, 4] boxes, [W, 4] windows -> [W, N]."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    left, top, right, bottom = windows.T[..., None]
    x, y = centres.T
    inside: npt.NDArray[np.bool_] = (left < x) & (x < right) & (top < y) & (y < bottom)
    return inside


def _ious(windows: npt.NDArray[np.int64], boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """[W, 4], [N, 4] xyxy -> [W, N]."""
    low = np.maximum(windows[:, None, :2], boxes[:, :2])
    sides = np.maximum(np.minimum(windows[:, None, 2:], boxes[:, 2:]) - low, 0)
    common = sides[..., 0] * sides[..., 1]
    areas = [(some[:, 2] - some[:, 0]) * (some[:, 3] - some[:, 1]) for some in (windows, boxes)]
    iou: npt.NDArray[np.float64] = common / (areas[0][:, None] + areas[1] - common)
    return iou


def generator(*key: object) -> np.random.Generator:
    """Random numbers that depend on `key` alone."""
    digest = hashlib.blake2b("/".join(str(part) for part in key).encode(), digest_size=8).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))
