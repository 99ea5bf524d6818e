"""One drawn picture: labels or predictions are put on it in any order, and drawn from the back to the front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from vjo_train.drawing.captions import PAPER, Box, draw_boxes, with_caption
from vjo_train.drawing.dots import Dot, draw_points
from vjo_train.drawing.overlays import overlay_colours, overlay_masks, overlay_semantic, overlay_values
from vjo_train.drawing.palette import Colour
from vjo_train.types import PlacedMasks

GAP = 2
"""Pixels between copies of the picture."""


@dataclass
class _Points:
    objects: list[list[Dot | None]]
    labels: list[int]
    edges: list[Sequence[int]]


@dataclass
class _Frames:
    boxes: list[Box]
    labels: list[int]
    tags: list[str]
    masked: bool


class Sheet:
    """Collects what is to be seen on a picture.

    From the back: classes, masks, points, frames with tags, then the caption below. Each map of figures or colours has
    a copy of the picture to itself, to the right: two of them could not be told apart. Where one task finds boxes and
    another boxes with masks or points, the frames of the second are left out: two frames could not be read.

    Args:
        image: uint8 [3, H, W].
        size: (height, width) of the picture file, in whose pixels everything is given; the image's by default.
        side: the longest side of the drawn picture in pixels; the image's by default.
        threshold: predictions with a lower score are not to be drawn.

    Raises:
        TypeError: `image` is of another type or shape.
    """

    def __init__(
        self, image: Tensor, *, size: tuple[int, int] | None = None, side: int | None = None, threshold: float = 0.4
    ) -> None:
        if image.dtype != torch.uint8 or image.ndim != 3 or image.shape[0] != 3:
            raise TypeError(f"image: found {image.dtype} {list(image.shape)}; uint8 [3, H, W] is needed.")
        self.threshold = threshold
        self.size = height, width = size or (image.shape[1], image.shape[2])
        scale = side / max(height, width) if side else max(image.shape[1:]) / max(height, width)
        shown = (max(1, round(width * scale)), max(1, round(height * scale)))
        picture = Image.fromarray(image.detach().cpu().permute(1, 2, 0).contiguous().numpy())
        self._picture = picture if picture.size == shown else picture.resize(shown, Image.Resampling.LANCZOS)
        self._bare, self._beside = self._picture, list[Image.Image]()
        self._factor = shown[0] / width, shown[1] / height
        self._masks: list[tuple[Tensor | PlacedMasks, list[int]]] = []
        self._points: list[_Points] = []
        self._frames: list[_Frames] = []
        self._chips: list[tuple[str, Colour]] = []

    def classes(self, indices: Tensor) -> None:
        """A map of classes [H, W]: 0 background, k + 1 for class k, 255 ignored."""
        self._picture = overlay_semantic(self._picture, self._cut(indices))

    def values(self, values: Tensor, low: float, high: float) -> None:
        """A map of figures [H, W] as colours from `low` (dark) to `high` (bright); what is not finite stays clear."""
        self._beside.append(overlay_values(self._bare, self._cut(values), low, high))

    def colours(self, colours: Tensor) -> None:
        """A map of colours [3, H, W] in 0..255; what is not finite stays clear."""
        self._beside.append(overlay_colours(self._bare, self._cut(colours)))

    def masks(self, masks: Tensor | PlacedMasks, labels: Sequence[int]) -> None:
        """Pixels of objects [N, H, W] bool, in the colours of their classes."""
        self._masks.append((self._cut(masks) if isinstance(masks, Tensor) else masks, list(labels)))

    def points(self, points: Tensor, labels: Sequence[int], edges: Sequence[Sequence[int]]) -> None:
        """Points of objects [N, K, 3]: x, y, and 0 for those that are left out; `edges` join two points each."""
        across, down = self._factor
        rows = [[(x * across, y * down) if known else None for x, y, known in one] for one in points.tolist()]
        self._points.append(_Points(rows, list(labels), list(edges)))

    def boxes(self, boxes: Tensor, labels: Sequence[int], tags: Sequence[str], *, masked: bool = False) -> None:
        """Frames [N, 4] xyxy with a tag each; `masked` ones give way to those of other tasks."""
        across, down = self._factor
        scaled = [(x1 * across, y1 * down, x2 * across, y2 * down) for x1, y1, x2, y2 in boxes.tolist()]
        self._frames.append(_Frames(scaled, list(labels), list(tags), masked))

    def chips(self, chips: Sequence[tuple[str, Colour]]) -> None:
        """Words in the caption, each with a coloured square."""
        self._chips += chips

    def finished(self, caption: str) -> Image.Image:
        """The drawn picture above a line with `caption` and the chips."""
        picture = self._picture
        for masks, labels in self._masks:
            picture = overlay_masks(picture, masks, labels)
        for points in self._points:
            draw_points(picture, points.objects, points.labels, points.edges)
        for frames in [some for some in self._frames if not some.masked] or self._frames:
            draw_boxes(picture, frames.boxes, frames.labels, frames.tags)
        return with_caption(_side_by_side([picture, *self._beside]), caption, self._chips)

    def _cut(self, maps: Tensor) -> Tensor:
        """Without what lies beyond the picture on its canvas."""
        return maps[..., : self.size[0], : self.size[1]]


def _side_by_side(pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures of one size, from left to right, with a thin gap."""
    if len(pictures) == 1:
        return pictures[0]
    width, height = pictures[0].size
    whole = Image.new("RGB", ((width + GAP) * len(pictures) - GAP, height), PAPER)
    for place, picture in enumerate(pictures):
        whole.paste(picture, (place * (width + GAP), 0))
    return whole
