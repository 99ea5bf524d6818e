"""Letterboxing: image, boxes and masks are resized once, straight to their place on the canvas, and stay together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from vjo_train.data import colour
from vjo_train.data.resizing import resize
from vjo_train.data.transforms import Augment, centres_inside
from vjo_train.types import IGNORE, Canvas

MEAN_COLOUR = (124, 116, 104)
"""RGB of padding: the mean of ImageNet, so that normalised padding is about 0."""

_FEWEST_PIXELS = 1.0
"""A box whose width or height falls below this on the canvas, in an augmented picture, has vanished."""


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

    moved = _moved(boxes, across, down, flipped, scale if augment is None else None)
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
    maps = _placed(picture.maps, canvas, across, down, flipped)
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


def _moved(
    boxes: npt.NDArray[np.float32], across: _Axis, down: _Axis, flipped: bool, scale: float | None
) -> npt.NDArray[np.float32]:
    """Boxes [N, 4] on the canvas, clipped to the picture there; by `scale` alone, or None: by the axes' own gains."""
    gain: float | list[float] = [across.gain, down.gain] * 2 if scale is None else scale
    shift = [axis.start - axis.first * axis.gain for axis in (across, down)] * 2 if scale is None else 0.0
    sizes = np.array([across.size, down.size] * 2, np.float32)
    moved: npt.NDArray[np.float32] = boxes * np.array(gain, np.float32) + np.array(shift, np.float32)
    moved = np.maximum(np.minimum(moved, sizes), 0)
    if flipped:
        moved[:, [0, 2]] = across.size - moved[:, [2, 0]]
    return moved


def _placed(maps: Tensor, canvas: Canvas, across: _Axis, down: _Axis, flipped: bool) -> Tensor:
    """Index masks [M, h, w] on the canvas, [M, H, W]; `IGNORE` around them."""
    placed = maps.new_empty((len(maps), *canvas))
    if len(maps):
        placed[:] = IGNORE
        part = maps[:, down.first : down.last, across.first : across.last]
        part = interpolate(part[None], (down.length, across.length), mode="nearest")[0]
        placed[:, down.place(), across.place(flipped)] = part.flip(-1) if flipped else part
    return placed


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
