"""A built-in data set of drawn shapes in space, for all kinds of label at once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import numpy.typing as npt

from vjo_train.data.scene_geometry import CATEGORIES, geometry, shaded
from vjo_train.data.shape_scene import Scene, draw
from vjo_train.data.shapes import Shapes, save_scene
from vjo_train.data.sources.scenes import DEPTH, NORMALS, SPACE, STEP

_SPACE_SEED = 7


class Scenes(Shapes):
    """`Shapes` at distances and slants of their own before a wall, floor, ceiling or corridor.

    The same outlines as in `Shapes` with the same keys; the light and a haze tell of slant and distance. Every picture
    has depth, normals, the extreme points of its objects and a category; `masked` of them have masks.
    """

    classes: ClassVar[tuple[str, ...]] = (*Shapes.classes, *CATEGORIES)
    folders: ClassVar[tuple[str, ...]] = (*Shapes.folders, DEPTH, NORMALS, SPACE)

    @property
    def parameters(self) -> dict[str, object]:
        return {"space": 1, **super().parameters}

    def save(self, root: Path, name: str, seed: Sequence[int], masked: bool) -> None:
        scene = draw(np.random.default_rng(seed), self.image_size, self.hardness)
        centres = scene.extremes.mean(axis=1)
        known = geometry(np.random.default_rng([*seed, _SPACE_SEED]), scene.owner, centres)
        image = shaded(scene.image, known)
        save_scene(root, name, replace(scene, image=image), masked)
        depth = (known.depth / STEP).round().astype(np.uint16)
        normals = ((known.normals[..., ::-1] + 1) * 32767.5).round().astype(np.uint16)
        (root / DEPTH / f"{name}.png").write_bytes(cv2.imencode(".png", depth)[1].tobytes())
        (root / NORMALS / f"{name}.png").write_bytes(cv2.imencode(".png", normals)[1].tobytes())
        content = {"category": CATEGORIES[known.category], "points": _points(scene).round(2).tolist()}
        (root / SPACE / f"{name}.json").write_text(json.dumps(content))


def _points(scene: Scene) -> npt.NDArray[np.float64]:
    """[N, 4, 3]: the extreme points with 2 where they are seen, 1 where they are hidden, 0 outside the picture."""
    size = len(scene.owner)
    points, middles = scene.extremes, scene.extremes.mean(axis=1, keepdims=True)
    inside = ((points >= 0) & (points < size)).all(axis=2)
    # A step towards the middle, since a corner's own pixel is hardly covered.
    steps = (middles - points) / np.maximum(np.linalg.norm(middles - points, axis=2, keepdims=True), 1e-6)
    columns, rows = np.clip((points + 2 * steps).astype(np.int64), 0, size - 1).transpose(2, 0, 1)
    seen = scene.owner[rows, columns] == np.arange(1, len(points) + 1)[:, None]
    return np.concatenate([points, np.where(inside, 1.0 + seen, 0.0)[..., None]], axis=2)
