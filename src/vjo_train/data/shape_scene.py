"""A scene of the built-in data set: which shapes it holds, where they lie, and how much of each is seen."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vjo_train.data.shape_painting import (
    CLASSES,
    add_clutter,
    area_of,
    colour_of_class,
    extremes,
    paint,
    random_colour,
    rasterised,
    textured,
)

_HIDDEN = 0.15
"""No object is hidden more than this allows: a smaller visible share is not drawn at all."""
_DIFFICULT = 0.4
"""Below this visible share an object counts as difficult."""


@dataclass(frozen=True)
class Scene:
    """One drawn picture.

    Attributes:
        image: [S, S, 3] uint8.
        objects: [S, S] uint8: 0 background, k for the k-th object, 255 on the borders of objects.
        labels: class index of each object.
        boxes: visible extent of each object, 1-based inclusive xyxy as in the devkit.
        difficult: whether most of the object is hidden.
        truncated: whether anything of it is hidden or outside.
        owner: [S, S] uint8: as `objects`, without borders.
        extremes: [N, 4, 2] the topmost, rightmost, lowest and leftmost point of each whole object, (x, y) in continuous
            0-based pixels, perhaps hidden or outside.
    """

    image: npt.NDArray[np.uint8]
    objects: npt.NDArray[np.uint8]
    labels: list[int]
    boxes: list[tuple[int, int, int, int]]
    difficult: list[bool]
    truncated: list[bool]
    owner: npt.NDArray[np.uint8]
    extremes: npt.NDArray[np.float64]


def draw(rng: np.random.Generator, size: int, hardness: float) -> Scene:
    """A scene of `size` x `size` pixels; `hardness` from 0 to 1."""
    ease = 1 - hardness
    canvas = textured(rng, size, random_colour(rng), strength=rng.uniform(20, 55) * (1 - 0.8 * ease))
    add_clutter(rng, canvas, size, strokes=round(hardness * int(rng.integers(0, 6))))
    smallest, hidden = 0.075 + 0.075 * ease, _HIDDEN + 0.5 * ease**2
    wanted = 0 if rng.random() < 0.05 else int(rng.integers(1, 5))
    owner = np.zeros((size, size), np.uint8)
    labels: list[int] = []
    areas: list[int] = []
    points: list[npt.NDArray[np.float64]] = []
    for _ in range(4 * wanted):
        if len(labels) == wanted:
            break
        label = int(rng.integers(len(CLASSES)))
        radius = size * math.exp(rng.uniform(math.log(smallest), math.log(0.3)))
        centre = rng.uniform(0.4 * radius, size - 0.4 * radius, size=2)
        angle = hardness * rng.uniform(-math.pi, math.pi)
        alpha = rasterised(label, radius, centre, angle, size)
        mask = alpha > 0.5
        full = area_of(label, radius)
        left = [((owner == k + 1) & ~mask).sum() / area for k, area in enumerate(areas)]
        if mask.sum() < max(0.3 * full, 12) or min(left, default=1.0) < hidden:
            continue
        colour = colour_of_class(rng, label) if rng.random() < 1 - 2 * hardness else random_colour(rng)
        paint(rng, canvas, alpha, size, colour, contrast=50 + 50 * ease, strength=rng.uniform(0, 35) * hardness)
        owner[mask] = len(labels) + 1
        labels.append(label)
        areas.append(int(full))
        points.append(extremes(label, radius, centre, angle))
    noisy = canvas + rng.normal(0, rng.uniform(2, 8), canvas.shape)
    return scene_of(noisy.clip(0, 255).astype(np.uint8), owner, labels, areas, np.array(points).reshape(-1, 4, 2))


def scene_of(
    image: npt.NDArray[np.uint8],
    owner: npt.NDArray[np.uint8],
    labels: list[int],
    areas: list[int],
    points: npt.NDArray[np.float64],
) -> Scene:
    """A scene from its picture.

    Args:
        image: [S, S, 3].
        owner: [S, S]: 0 background, k for the k-th object, of which some is seen.
        labels: of the objects.
        areas: of the whole objects in pixels.
        points: as `Scene.extremes`.
    """
    boxes, shares = [], []
    for number, area in enumerate(areas, start=1):
        rows, columns = np.nonzero(owner == number)
        boxes.append((int(columns.min()) + 1, int(rows.min()) + 1, int(columns.max()) + 1, int(rows.max()) + 1))
        shares.append(len(rows) / area)
    return Scene(
        image=image,
        objects=_border(owner),
        labels=labels,
        boxes=boxes,
        difficult=[share < _DIFFICULT for share in shares],
        truncated=[share < 0.95 for share in shares],
        owner=owner,
        extremes=points,
    )


def _border(owner: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Marks by 255 the pixels whose neighbours above, below, left or right belong to something else."""
    padded = np.pad(owner, 1, mode="edge")
    middle = padded[1:-1, 1:-1]
    edge = np.zeros(owner.shape, np.bool_)
    for other in (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]):
        edge |= other != middle
    return np.where(edge, np.uint8(255), owner)
