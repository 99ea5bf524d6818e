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
from vjo_train.types import IGNORE


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


def overlay_masks(picture: Image.Image, masks: Tensor, labels: Sequence[int], opacity: float = 0.45) -> Image.Image:
    """Fills objects' masks [N, h, w] with their classes' colours, in order, and outlines them."""
    for mask, label in zip(masks.detach().cpu().numpy(), labels, strict=True):
        inside = _resized(mask.astype(np.uint8), picture.size).astype(bool)
        core = inside.copy()
        for axis in (0, 1):
            for step in (-1, 1):
                core &= np.roll(inside, step, axis)
        colour = np.broadcast_to(np.asarray(class_colour(label), dtype=np.uint8), (*inside.shape, 3))
        picture = _blend(picture, colour, np.where(core, opacity, np.where(inside, 1.0, 0.0)))
    return picture


def _resized(values: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.fromarray(values).resize(size, Image.Resampling.NEAREST))


def _blend(picture: Image.Image, colour: npt.NDArray[np.uint8], opacity: npt.NDArray[Any]) -> Image.Image:
    """Mixes `colour` [H, W, 3] into the picture by `opacity` [H, W] in 0..1."""
    base = np.asarray(picture, dtype=np.float32)
    share = opacity.astype(np.float32)[..., None]
    return Image.fromarray((base * (1 - share) + colour * share).round().astype(np.uint8))
