"""Augmentation and letterboxing: boxes, labels, flags and masks stay together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Annotated, Any

import torch
from annotated_types import Interval
from torch import Tensor
from torchvision import tv_tensors
from torchvision.ops import box_iou
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from vjo_train.types import IGNORE

MEAN_COLOUR = (124, 116, 104)
"""RGB of padding: the mean of ImageNet, so that normalised padding is about 0."""

_LEAST_IOUS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, None)

_FEWEST_PIXELS = 1.0
"""A box whose width or height falls below this on the canvas, in an augmented picture, has vanished."""


@dataclass
class Picture:
    """An image with what is drawn on it, before it becomes a batch. All parts share one pixel grid."""

    image: Tensor
    """[3, H, W] uint8 RGB."""
    boxes: Tensor
    """[N, 4] float32 xyxy."""
    kept: Tensor
    """[N] int64: which of the file's objects the boxes are (0-based), so that labels and flags follow a crop."""
    maps: Tensor
    """[M, H, W] uint8: M index masks (class mask, object mask), 255 where unknown; M may be 0."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return int(self.image.shape[-2]), int(self.image.shape[-1])

    @classmethod
    def bare(cls, image: Tensor) -> Picture:
        """An image with nothing drawn on it."""
        height, width = image.shape[-2:]
        return cls(image, torch.empty(0, 4), torch.empty(0, dtype=torch.int64), image.new_empty((0, height, width)))


class Augment:
    """Random changes of training pictures. A probability of 0 turns a change off.

    They come in this order: zoom out, crop, flip, letterbox, jitter. The crop keeps the boxes whose centre is inside
    and clips them; pictures without boxes are not cropped. Randomness comes from torch's CPU generator alone.

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
        fill: dict[type | str, Any] = {tv_tensors.Image: MEAN_COLOUR, tv_tensors.Mask: IGNORE, "others": 0}
        self._zoom_out = v2.RandomZoomOut(fill=fill, side_range=(1.0, zoom_out_max), p=zoom_out)

    def geometry(self, picture: Picture) -> Picture:
        """Zooms out, crops and mirrors, and drops the boxes that are no longer in the picture."""
        height, width = picture.size
        image = tv_tensors.Image(picture.image)
        boxes = tv_tensors.BoundingBoxes(picture.boxes, format="XYXY", canvas_size=(height, width))
        parts = [image, boxes, *([tv_tensors.Mask(picture.maps)] if len(picture.maps) else [])]
        parts = list(self._zoom_out(*parts))
        inside = torch.ones(len(boxes), dtype=torch.bool)
        if _chance(self.crop):
            window = sample_crop(parts[1].as_subclass(Tensor), *parts[0].shape[-2:])
            if window is not None:
                inside = _centres_inside(parts[1].as_subclass(Tensor), torch.tensor([window]))[0]
                left, top, right, bottom = window
                parts = [F.crop(part, top, left, bottom - top, right - left) for part in parts]
        if _chance(self.flip):
            parts = [F.horizontal_flip(part) for part in parts]
        plain = [part.as_subclass(Tensor) for part in parts]
        changed = plain[1]
        return Picture(
            image=plain[0],
            boxes=changed[inside],
            kept=picture.kept[inside],
            maps=plain[2] if len(picture.maps) else picture.maps.new_empty((0, *plain[0].shape[-2:])),
        )

    def colour(self, image: Tensor) -> Tensor:
        """[3, H, W] uint8 -> the same with brightness, contrast, saturation and hue changed."""
        strength = self.jitter_strength
        if _chance(self.jitter):
            image = F.adjust_brightness(image, _factor(0.25 * strength))
        if _chance(self.jitter):
            image = _adjust_contrast(image, _factor(strength))
        if _chance(self.jitter):
            image = F.adjust_saturation(image, _factor(strength))
        if _chance(self.jitter):
            image = F.adjust_hue(image, _factor(0.1 * strength) - 1)
        return image


def sample_crop(boxes: Tensor, height: int, width: int) -> tuple[int, int, int, int] | None:
    """A window as SSD draws it (Liu et al. 2016): it holds the centre of some box and overlaps it enough.

    The least IoU is drawn from 0, 0.1, 0.3, 0.5, 0.7, 0.9, or no crop at all; sides are 0.3 to 1 of the picture's,
    their ratio is 0.5 to 2; the first of 40 windows that serves is taken, else another IoU is drawn. torchvision's
    RandomIoUCrop does the same one window at a time, an order of magnitude slower.

    Args:
        boxes: [N, 4] xyxy.
        height: of the picture in pixels.
        width: of the picture in pixels.

    Returns:
        left, top, right, bottom in whole pixels; None for no crop, always so without boxes.
    """
    if not len(boxes):
        return None
    sides = torch.tensor([width, height])
    while (least := _LEAST_IOUS[int(torch.randint(len(_LEAST_IOUS), ()))]) is not None:
        new = (sides * (0.3 + 0.7 * torch.rand(40, 2))).long()
        start = ((sides - new) * torch.rand(40, 2)).long()
        windows = torch.cat([start, start + new], dim=1)
        ious = box_iou(windows.float(), boxes.float()) * _centres_inside(boxes, windows)
        fits = _centres_inside(boxes, windows).any(dim=1) & (ious.amax(dim=1) >= least)
        fits &= (new[:, 0] <= 2 * new[:, 1]) & (new[:, 1] <= 2 * new[:, 0])
        if fits.any():
            left, top, right, bottom = (int(value) for value in windows[int(fits.long().argmax())])
            return left, top, right, bottom
    return None


def _centres_inside(boxes: Tensor, windows: Tensor) -> Tensor:
    """[N, 4] boxes, [W, 4] windows -> [W, N] bool."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    return ((windows[:, None, :2] < centres) & (centres < windows[:, None, 2:])).all(dim=2)


def fit(picture: Picture, side: int) -> tuple[Picture, float]:
    """Scales the picture so that its longest side is `side`; clips boxes to it.

    Returns:
        The picture, and its new pixels per old pixel. Sides are rounded to whole pixels, at least 1.
    """
    height, width = picture.size
    scale = side / max(height, width)
    new = [max(1, round(height * scale)), max(1, round(width * scale))]
    image, maps = picture.image, picture.maps
    if new != [height, width]:
        image = F.resize(image, new, antialias=True)
        resized = F.resize(tv_tensors.Mask(maps), new) if len(maps) else maps.new_empty((0, *new))
        maps = resized.as_subclass(Tensor)
    boxes = picture.boxes * scale
    boxes[:, 0::2] = boxes[:, 0::2].clamp(0, new[1])
    boxes[:, 1::2] = boxes[:, 1::2].clamp(0, new[0])
    return Picture(image, boxes, picture.kept, maps), scale


def pad(picture: Picture, side: int) -> Picture:
    """Lays the picture at the top left of a square canvas of the mean colour; masks are padded by 255."""
    height, width = picture.size
    if (height, width) == (side, side):
        return picture
    image = picture.image.new_empty((3, side, side))
    image[:] = torch.tensor(MEAN_COLOUR, dtype=torch.uint8)[:, None, None]
    image[:, :height, :width] = picture.image
    maps = picture.maps.new_full((len(picture.maps), side, side), IGNORE)
    maps[:, :height, :width] = picture.maps
    return replace(picture, image=image, maps=maps)


def letterbox(picture: Picture, side: int, augment: Augment | None = None) -> tuple[Picture, tuple[int, int], float]:
    """Augments, scales and pads.

    Boxes that are smaller than a pixel afterwards are dropped, but only where `augment` is given: an evaluation
    loses none.

    Returns:
        The picture on its canvas of `side` x `side`, its (height, width) there without padding, and its scale.
    """
    if augment is not None:
        picture = augment.geometry(picture)
    picture, scale = fit(picture, side)
    if augment is not None:
        large = ((picture.boxes[:, 2:] - picture.boxes[:, :2]) >= _FEWEST_PIXELS).all(dim=1)
        colour = augment.colour(picture.image)
        picture = replace(picture, image=colour, boxes=picture.boxes[large], kept=picture.kept[large])
    return pad(picture, side), picture.size, scale


@contextmanager
def seeded(*key: object) -> Iterator[None]:
    """Inside, torch's CPU generator starts from a number made of `key`; outside, it goes on as if nothing had been.

    A GPU's generator is not touched.
    """
    digest = hashlib.blake2b("/".join(str(part) for part in key).encode(), digest_size=8).digest()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int.from_bytes(digest, "big") >> 1)
        yield


def _chance(probability: float) -> bool:
    return bool(torch.rand(()) < probability)


def _factor(spread: float) -> float:
    """Uniform in 1 - spread .. 1 + spread."""
    return 1 + spread * float(2 * torch.rand(()) - 1)


def _adjust_contrast(image: Tensor, factor: float) -> Tensor:
    """Moves the pixels from (or to) their mean grey.

    torchvision's own takes the mean in floating point, whose last bit depends on the number of threads and so on
    whether a worker does it; the sum of integers does not.
    """
    grey = F.rgb_to_grayscale(image)
    mean = int(grey.sum(dtype=torch.int64)) / grey.numel()
    changed: Tensor = image.float() * factor + mean * (1 - factor)
    return changed.clamp(0, 255).to(torch.uint8)
