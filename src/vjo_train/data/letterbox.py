"""Letterboxing: a picture is resized once, straight to its place on the canvas; its labels follow it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vjo_train.data import colour
from vjo_train.data.placement import Axis, OnCanvas
from vjo_train.data.resizing import resize
from vjo_train.data.transforms import Augment, centres_inside
from vjo_train.types import MEAN_COLOUR, Canvas

_FEWEST_PIXELS = 1.0
"""A box whose width or height falls below this on the canvas, in an augmented picture, has vanished."""


@dataclass
class Picture:
    """An image before it becomes a part of a batch."""

    image: Tensor
    """[3, h, w] uint8 RGB; coarser than the file by `reduction`, rounded up."""
    size: tuple[int, int]
    """(height, width) of the file."""
    boxes: npt.NDArray[np.float32]
    """[N, 4] xyxy of its objects, in pixels of the file."""
    reduction: int = 1
    """Pixels of the file per pixel of the image: 1, 2, 4 or 8."""

    @classmethod
    def bare(cls, image: Tensor, size: tuple[int, int] | None = None, reduction: int = 1) -> Picture:
        """An image without objects; `size` is that of the file, where the image is coarser."""
        height, width = size or image.shape[-2:]
        return cls(image, (height, width), np.empty((0, 4), np.float32), reduction)


def blank(*shape: int) -> Tensor:
    """Canvases to lay pictures on: [..., 3, H, W] uint8 for `shape` [..., H, W], the colours of a pixel side by side.

    In this order decoders write and the resizing is quickest; the content is undefined.
    """
    return torch.empty((*shape, 3), dtype=torch.uint8).movedim(-1, -3)


def fit(size: tuple[float, float], canvas: Canvas) -> float:
    """Canvas pixels per pixel of a picture of `size` (height, width) that just fits on the canvas."""
    return min(canvas[0] / size[0], canvas[1] / size[1])


def letterbox(
    picture: Picture,
    canvas: Canvas,
    augment: Augment | None = None,
    rng: np.random.Generator | None = None,
    pixels: Tensor | None = None,
) -> OnCanvas:
    """Augments, scales so that the picture just fits on a canvas, and lays it at the top left.

    The rest of the canvas has the mean colour. Objects whose boxes are smaller than a pixel afterwards are dropped, but
    only where `augment` is given: an evaluation loses none. Without `augment` all points move by one factor, sides
    being rounded to whole pixels (at least 1); with it, by what their picture has been resized to.

    Args:
        picture: is left as it is.
        canvas: its height and width.
        augment: None in evaluation.
        rng: all randomness of `augment`; None: seeded by 0.
        pixels: [3, H, W] uint8 of `blank` to lay it on, such as those of a batch; None: new ones, which are lost.

    Returns:
        Where the picture is now; its labels follow it.
    """
    layout = lay_out(picture.size, picture.boxes, canvas, picture.reduction, augment, rng)
    layout.draw(picture.image, blank(*canvas) if pixels is None else pixels)
    return layout.placement


@dataclass(frozen=True)
class Layout:
    """What is decided of a picture before its pixels are there."""

    placement: OnCanvas
    """Where it goes; its labels follow it."""
    jitter: colour.Jitter
    reduction: int
    """Pixels of the file per pixel of the image."""

    def draw(self, image: Tensor, pixels: Tensor) -> None:
        """Lays the image [3, h, w] uint8, coarser than its file by `reduction`, on `pixels` [3, H, W] of `blank`."""
        placed = self.placement
        drawn = pixels.permute(1, 2, 0).numpy()
        rows, columns = placed.down.place(), placed.across.place(placed.mirrored)
        _paint(image, drawn[rows, columns], self)
        _surround(drawn, rows, columns)


def lay_out(
    size: tuple[int, int],
    boxes: npt.NDArray[np.float32],
    canvas: Canvas,
    reduction: int = 1,
    augment: Augment | None = None,
    rng: np.random.Generator | None = None,
) -> Layout:
    """All of `letterbox` that needs no pixels: draws the augmentation, and finds the picture's place.

    Args:
        size: (height, width) of the file.
        boxes: [N, 4] xyxy of its objects, in pixels of the file.
        canvas: its height and width.
        reduction: pixels of the file per pixel of the image.
        augment: None in evaluation.
        rng: all randomness of `augment`; None: seeded by 0.
    """
    height, width = size
    rng = np.random.default_rng(0) if rng is None else rng
    window, cropped = augment.window(boxes, height, width, rng) if augment else ((0, 0, width, height), False)
    mirrored = augment is not None and augment.flips(rng)
    left, top, right, bottom = window
    left, top = left - left % reduction, top - top % reduction  # begins with a pixel of the image
    scale = fit((bottom - top, right - left), canvas)
    across, down = Axis.of(left, right, width, scale), Axis.of(top, bottom, height, scale)

    zoom = scale / fit((height, width), canvas)
    placement = OnCanvas(canvas, across, down, mirrored=mirrored, scale=scale, zoom=zoom, exact=augment is None)
    chosen: npt.NDArray[np.bool_] = np.ones(len(boxes), np.bool_)
    if augment is not None:
        moved = placement.clipped(boxes)
        chosen &= ((moved[:, 2:] - moved[:, :2]) >= _FEWEST_PIXELS).all(axis=1)
        if cropped:
            chosen &= centres_inside(boxes, np.array([window]))[0]
    placement.objects = np.flatnonzero(chosen)
    return Layout(placement, augment.colours(rng) if augment else colour.UNCHANGED, reduction)


def _paint(image: Tensor, place: npt.NDArray[np.uint8], layout: Layout) -> None:
    """Writes the part of the image that is seen to its place, [h, w, 3]; colours change where pixels are fewer."""
    placed, jitter, step = layout.placement, layout.jitter, layout.reduction
    across, down = placed.across, placed.down
    rows, columns = (slice(axis.first // step, -(-axis.last // step)) for axis in (down, across))
    part: npt.NDArray[np.uint8] = image[:, rows, columns].permute(1, 2, 0).numpy()
    grows = part.size < place.size
    if grows:
        part = jitter(part)
    resize(part, place, (down.gain * step, across.gain * step))
    if not grows:
        jitter(place, into=place)
    if placed.mirrored:
        cv2.flip(place, 1, dst=place)


@lru_cache(1)
def _ground(width: int) -> npt.NDArray[np.uint8]:
    """A row of the mean colour, which must not be written to: [W, 3]."""
    return np.full((width, 3), MEAN_COLOUR, np.uint8)


def _surround(pixels: npt.NDArray[np.uint8], rows: slice, columns: slice) -> None:
    """Lays the mean colour on a canvas [H, W, 3] around a place."""
    height, width = pixels.shape[:2]
    ground = _ground(width)
    for edge, down, across in (
        (rows.start > 0, slice(rows.start), slice(None)),
        (rows.stop < height, slice(rows.stop, None), slice(None)),
        (columns.start > 0, rows, slice(columns.start)),
        (columns.stop < width, rows, slice(columns.stop, None)),
    ):
        if edge:
            pixels[down, across] = ground[across]
