"""Class maps and object masks laid over a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from torch import Tensor

from vjo_train.drawing.palette import class_colour
from vjo_train.types import IGNORE, PlacedMasks

_ROWS = 256
"""Of a picture that are mixed in floating point together."""


def overlay_semantic(picture: Image.Image, semantic: Tensor, opacity: float = 0.55) -> Image.Image:
    """Lays the classes' colours over the picture; [h, w], 0 (background) and 255 (ignored) stay clear."""
    indices = _resized(semantic.detach().cpu().numpy().astype(np.uint8), picture.size)
    lookup = np.zeros((256, 3), dtype=np.uint8)
    lookup[1:255] = [class_colour(index - 1) for index in range(1, 255)]
    covered = (indices != 0) & (indices != IGNORE)
    return _blend(picture, lookup[indices], covered * opacity)


def overlay_values(picture: Image.Image, values: Tensor, low: float, high: float, opacity: float = 0.75) -> Image.Image:
    """Lays figures [h, w] over the picture, from `low` (dark) to `high` (bright); what is not finite stays clear."""
    figures = values.detach().cpu().float().numpy()
    shares = np.clip((np.nan_to_num(figures) - low) / max(high - low, 1e-9), 0, 1)
    grey = _resized((255 * shares).astype(np.uint8), picture.size)
    known = _resized(np.isfinite(figures).astype(np.uint8), picture.size)
    colours = np.asarray(cv2.applyColorMap(grey, cv2.COLORMAP_VIRIDIS)[..., ::-1], np.uint8)
    return _blend(picture, colours, known * opacity)


def overlay_colours(picture: Image.Image, colours: Tensor, opacity: float = 0.75) -> Image.Image:
    """Lays colours [3, h, w] in 0..255 over the picture; what is not finite stays clear."""
    values = colours.detach().cpu().float().permute(1, 2, 0).numpy()
    known = np.isfinite(values).all(axis=2)
    rgb = np.nan_to_num(values).clip(0, 255).round().astype(np.uint8)
    return _blend(picture, _resized(rgb, picture.size), _resized(known.astype(np.uint8), picture.size) * opacity)


def overlay_masks(
    picture: Image.Image, masks: Tensor | PlacedMasks, labels: Sequence[int], opacity: float = 0.45
) -> Image.Image:
    """Fills objects' masks [N, h, w] with their classes' colours, in order, and outlines them."""
    pixels = np.array(picture, dtype=np.uint8)
    for k, label in enumerate(labels):
        inside, (top, left) = _part(masks, k, picture.size)
        padded = np.pad(inside, 1)
        core = inside & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
        where = np.where(core, opacity, np.where(inside, 1.0, 0.0))
        place = pixels[top : top + inside.shape[0], left : left + inside.shape[1]]
        place[:] = _mixed(place, np.asarray(class_colour(label), dtype=np.uint8), where)
    return Image.fromarray(pixels)


def _part(masks: Tensor | PlacedMasks, k: int, size: tuple[int, int]) -> tuple[npt.NDArray[np.bool_], tuple[int, int]]:
    """A mask on a picture of `size` (width, height), cut to where it has pixels, and the top left of that."""
    if isinstance(masks, PlacedMasks) and masks.size == size[::-1]:
        top, left = masks.corners[k].tolist()
        return masks.parts[k].numpy(), (top, left)
    inside = _resized(masks[k].detach().cpu().numpy().astype(np.uint8), size).astype(bool)
    rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return inside[:0, :0], (0, 0)
    top, left = int(rows[0]), int(columns[0])
    return inside[top : rows[-1] + 1, left : columns[-1] + 1], (top, left)


def _resized(values: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.fromarray(values).resize(size, Image.Resampling.NEAREST))


def _blend(picture: Image.Image, colour: npt.NDArray[np.uint8], opacity: npt.NDArray[Any]) -> Image.Image:
    """Mixes `colour` [H, W, 3] into the picture by `opacity` [H, W] in 0..1."""
    return Image.fromarray(_mixed(np.asarray(picture), colour, opacity))


def _mixed(
    base: npt.NDArray[np.uint8], colour: npt.NDArray[np.uint8], opacity: npt.NDArray[Any]
) -> npt.NDArray[np.uint8]:
    """`base` [H, W, 3] and `colour`, of that shape or one for all, by `opacity` [H, W]; some rows at a time."""
    mixed, colours = np.empty_like(base), np.broadcast_to(colour, base.shape)
    for start in range(0, len(base), _ROWS):
        rows = slice(start, start + _ROWS)
        share = opacity[rows].astype(np.float32)[..., None]
        mixed[rows] = (base[rows].astype(np.float32) * (1 - share) + colours[rows] * share).round()
    return mixed
