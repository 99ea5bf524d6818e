"""Augmentation and letterboxing: boxes, labels, flags and masks stay together.

What a picture goes through is decided first, from its size and boxes alone; then the part that is seen is resized
once, straight to its place on the canvas. Pictures are uint8 all the way.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

import cv2
import numpy as np
import numpy.typing as npt
import torch
from annotated_types import Interval
from torch import Tensor
from torch.nn.functional import interpolate

from vjo_train.data import colour
from vjo_train.data.resizing import resize
from vjo_train.types import IGNORE, Canvas

MEAN_COLOUR = (124, 116, 104)
"""RGB of padding: the mean of ImageNet, so that normalised padding is about 0."""

_LEAST_IOUS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, None)

_FEWEST_PIXELS = 1.0
"""A box whose width or height falls below this on the canvas, in an augmented picture, has vanished."""

Window = tuple[int, int, int, int]
"""left, top, right, bottom in whole pixels of the picture; may reach beyond it."""


@dataclass
class Picture:
    """An image with what is drawn on it, before it becomes a batch."""

    image: Tensor
    """[3, H, W] uint8 RGB; coarser by `reduction`, rounded up."""
    boxes: Tensor
    """[N, 4] float32 xyxy."""
    kept: npt.NDArray[np.int64]
    """[N]: which of the file's objects the boxes are (0-based), so that labels and flags follow a crop."""
    maps: Tensor
    """[M, H, W] uint8: M index masks (class mask, object mask), 255 where unknown; M may be 0."""
    reduction: int = 1
    """Pixels of H and W per pixel of the image: 1, 2, 4 or 8."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return int(self.maps.shape[-2]), int(self.maps.shape[-1])

    @classmethod
    def bare(cls, image: Tensor, size: tuple[int, int] | None = None, reduction: int = 1) -> Picture:
        """An image with nothing drawn on it; `size` is that of the file, where the image is coarser."""
        maps = image.new_empty((0, *(size or image.shape[-2:])))
        return cls(image, torch.empty(0, 4), np.arange(0), maps, reduction)


class Augment:
    """Random changes of training pictures. A probability of 0 turns a change off.

    They come in this order: zoom out, crop, flip, letterbox, jitter. The crop keeps the boxes whose centre is inside
    and clips them; pictures without boxes are not cropped.

    Args:
        zoom_out: probability that the picture is laid at random on a larger ground of the mean colour (Liu et al.
            2016, SSD), which makes its objects smaller.
        zoom_out_max: greatest side of that ground, relative to the picture.
        crop: probability of a crop that overlaps some box by a random least IoU (SSD).
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
            crop = sample_crop(boxes - shift, bottom - top, right - left, rng)
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


def sample_crop(boxes: npt.NDArray[np.float32], height: int, width: int, rng: np.random.Generator) -> Window | None:
    """A window as SSD draws it (Liu et al. 2016): it holds the centre of some box and overlaps it enough.

    The least IoU is drawn from 0, 0.1, 0.3, 0.5, 0.7, 0.9, or no crop at all; sides are 0.3 to 1 of the picture's,
    their ratio is 0.5 to 2; the first of 40 windows that serves is taken, else another IoU is drawn. torchvision's
    RandomIoUCrop does the same one window at a time, an order of magnitude slower.

    Args:
        boxes: [N, 4] xyxy.
        height: of the picture in pixels.
        width: of the picture in pixels.
        rng: all randomness.

    Returns:
        left, top, right, bottom in whole pixels; None for no crop, always so without boxes.
    """
    if not len(boxes):
        return None
    sides = np.array([width, height])
    while (least := _LEAST_IOUS[rng.integers(len(_LEAST_IOUS))]) is not None:
        draws = rng.random((2, 40, 2))
        new = (sides * (0.3 + 0.7 * draws[0])).astype(np.int64)
        start = ((sides - new) * draws[1]).astype(np.int64)
        windows = np.concatenate([start, start + new], axis=1)
        inside = centres_inside(boxes, windows)
        upright = (new[:, 0] <= 2 * new[:, 1]) & (new[:, 1] <= 2 * new[:, 0])
        fits = np.flatnonzero(upright & inside.any(axis=1) & ((_ious(windows, boxes) * inside).max(axis=1) >= least))
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
) -> tuple[Picture, tuple[int, int], float]:
    """Augments, scales so that the picture just fits on a canvas, and lays it at the top left.

    The rest of the canvas has the mean colour; masks are padded by 255. Boxes that are smaller than a pixel afterwards
    are dropped, but only where `augment` is given: an evaluation loses none. Without `augment` all boxes are scaled by
    the one factor that is returned, sides being rounded to whole pixels (at least 1); with it, by what their picture
    has been resized to.

    Args:
        picture: is left as it is.
        canvas: its height and width.
        augment: None in evaluation.
        rng: all randomness of `augment`; None: seeded by 0.
        pixels: [3, H, W] uint8 of `blank` to lay it on, such as those of a batch; None: new ones.

    Returns:
        The picture on its canvas, its (height, width) there without padding, and its new pixels per old pixel.
    """
    height, width = picture.size
    boxes, kept = picture.boxes.numpy(), picture.kept
    rng = np.random.default_rng(0) if rng is None else rng
    window, cropped = augment.window(boxes, height, width, rng) if augment else ((0, 0, width, height), False)
    flipped = augment is not None and augment.flips(rng)
    left, top, right, bottom = window
    left, top = left - left % picture.reduction, top - top % picture.reduction  # begins with a pixel of the image
    scale = fit((bottom - top, right - left), canvas)
    across, down = _Axis.of(left, right, width, scale), _Axis.of(top, bottom, height, scale)

    sizes = np.array([across.size, down.size] * 2, np.float32)
    gain, shift = (scale, 0.0) if augment is None else _affine(across, down)
    moved = np.maximum(np.minimum(boxes * np.array(gain, np.float32) + np.array(shift, np.float32), sizes), 0)
    if flipped:
        moved[:, [0, 2]] = across.size - moved[:, [2, 0]]
    if augment is not None:
        chosen = ((moved[:, 2:] - moved[:, :2]) >= _FEWEST_PIXELS).all(axis=1)
        if cropped:
            chosen &= centres_inside(boxes, np.array([window]))[0]
        moved, kept = moved[chosen], kept[chosen]

    pixels = blank(*canvas) if pixels is None else pixels
    drawn, rows, columns = pixels.permute(1, 2, 0).numpy(), down.place(), across.place(flipped)
    jitter = augment.colours(rng) if augment else colour.UNCHANGED
    _paint(picture, drawn[rows, columns], across, down, jitter, flipped)
    _surround(drawn, rows, columns)
    maps = picture.maps.new_empty((len(picture.maps), *canvas))
    if len(maps):
        maps[:] = IGNORE
        part = picture.maps[:, down.first : down.last, across.first : across.last]
        part = interpolate(part[None], (down.length, across.length), mode="nearest")[0]
        maps[:, rows, columns] = part.flip(-1) if flipped else part
    return Picture(pixels, torch.from_numpy(moved), kept, maps), (down.size, across.size), scale


@dataclass(frozen=True)
class _Axis:
    """What happens along one axis: pixels `first..last` of the picture go to `start..end` of `size` on the canvas."""

    first: int
    last: int
    start: int
    end: int
    size: int

    @classmethod
    def of(cls, low: int, high: int, length: int, scale: float) -> _Axis:
        """For a window from `low` to `high` over a picture of `length` pixels."""
        size = max(1, round((high - low) * scale))
        first, last = max(low, 0), min(high, length)
        start = min(round((first - low) * scale), size - 1)
        end = size if last == high else min(size, max(start + 1, round((last - low) * scale)))
        return cls(first, last, start, end, size)

    @property
    def length(self) -> int:
        return self.end - self.start

    def place(self, mirrored: bool = False) -> slice:
        """On the canvas."""
        return slice(self.size - self.end, self.size - self.start) if mirrored else slice(self.start, self.end)

    @property
    def gain(self) -> float:
        """Pixels of the canvas per pixel of the picture."""
        return self.length / (self.last - self.first)


def _affine(across: _Axis, down: _Axis) -> tuple[list[float], list[float]]:
    """What boxes [N, 4] are multiplied by, and what is added to them."""
    return [across.gain, down.gain] * 2, [axis.start - axis.first * axis.gain for axis in (across, down)] * 2


def _paint(
    picture: Picture,
    place: npt.NDArray[np.uint8],
    across: _Axis,
    down: _Axis,
    jitter: colour.Jitter,
    flipped: bool,
) -> None:
    """Writes the part of the image that is seen to its place, [h, w, 3]; colours change where pixels are fewer."""
    step = picture.reduction
    rows, columns = (slice(axis.first // step, -(-axis.last // step)) for axis in (down, across))
    part: npt.NDArray[np.uint8] = picture.image[:, rows, columns].permute(1, 2, 0).numpy()
    grows = part.size < place.size
    if grows:
        part = jitter(part)
    resize(part, place, (down.gain * step, across.gain * step))
    if not grows and jitter != colour.UNCHANGED:
        place[:] = jitter(place)
    if flipped:
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


def generator(*key: object) -> np.random.Generator:
    """Random numbers that depend on `key` alone."""
    digest = hashlib.blake2b("/".join(str(part) for part in key).encode(), digest_size=8).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))
