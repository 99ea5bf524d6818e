"""Where the things of a drawn scene are in space: distances, slants, and the light that shows them.

Orthographic: the picture is `WIDTH` wide at any distance. x runs to the right, y down, and depth away from the viewer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

CATEGORIES = ("wall", "floor", "ceiling", "corridor")
"""What is behind the objects: a plane across, one that rises into the distance, one that falls, a passage."""
WIDTH = 4.0
"""Of a picture, in metres."""
NEAREST, FARTHEST = 2.0, 4.5
"""Distances of the middles of objects, in metres; what is behind them begins at 5."""
STEEPEST = 1.0
"""Greatest slant of an object, in metres of depth a metre across."""
HAZE = np.array([205.0, 210.0, 220.0], np.float32)
"""What everything fades to in the distance, RGB."""
_REACH = 7.0
_LIGHT = np.array([-0.45, -0.55, 0.7]) / np.linalg.norm([-0.45, -0.55, 0.7])

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Geometry:
    """Of one scene.

    Attributes:
        category: index into `CATEGORIES`.
        depth: [S, S] metres.
        normals: [S, S, 3] unit vectors to the viewer's side: to the right, down, towards the viewer.
    """

    category: int
    depth: npt.NDArray[np.float32]
    normals: npt.NDArray[np.float32]


def geometry(rng: np.random.Generator, owner: npt.NDArray[np.uint8], centres: Floats) -> Geometry:
    """Gives what is in a picture a place in space.

    Args:
        rng: of its distances and slants.
        owner: [S, S]: 0 background, k for the k-th object; later objects hide earlier ones, so they are nearer.
        centres: [N, 2] (x, y) in pixels.
    """
    size = len(owner)
    category = int(rng.integers(len(CATEGORIES)))
    depth = _background(rng, CATEGORIES[category], size)
    columns, rows = np.meshgrid((np.arange(size) + 0.5) / size * WIDTH, (np.arange(size) + 0.5) / size * WIDTH)
    slopes = np.gradient(depth, WIDTH / size)[::-1]
    across, down = (np.array(slope) for slope in slopes)
    for number, distance in enumerate(np.sort(rng.uniform(NEAREST, FARTHEST, len(centres)))[::-1], 1):
        angle, steepness = rng.uniform(-np.pi, np.pi), STEEPEST * np.sqrt(rng.uniform())
        slant_x, slant_y = steepness * np.cos(angle), steepness * np.sin(angle)
        x, y = centres[number - 1] / size * WIDTH
        own = owner == number
        depth[own] = np.maximum(distance + slant_x * (columns - x) + slant_y * (rows - y), 0.5)[own]
        across[own], down[own] = slant_x, slant_y
    normals = np.stack([across, down, np.ones_like(across)], axis=2)
    normals /= np.linalg.norm(normals, axis=2, keepdims=True)
    return Geometry(category, depth.astype(np.float32), normals.astype(np.float32))


def shaded(image: npt.NDArray[np.uint8], known: Geometry) -> npt.NDArray[np.uint8]:
    """[S, S, 3] RGB: what faces the light is bright, and what is far away fades."""
    light = 0.35 + 0.65 * np.clip(known.normals @ _LIGHT, 0, 1)
    near = np.exp(-known.depth / _REACH)[..., None]
    lit = image.astype(np.float32) * light[..., None]
    seen: npt.NDArray[np.float32] = HAZE + (lit - HAZE) * near
    return seen.round().clip(0, 255).astype(np.uint8)


def _background(rng: np.random.Generator, category: str, size: int) -> Floats:
    """[S, S] depth in metres, from 5 to 12."""
    near, far = rng.uniform(5.0, 6.5), rng.uniform(9.0, 12.0)
    along = (np.arange(size) + 0.5) / size
    rising = far + (near - far) * along
    if category == "floor":
        return np.repeat(rising[:, None], size, axis=1)
    if category == "ceiling":
        return np.repeat(rising[::-1, None], size, axis=1)
    if category == "corridor":
        return np.repeat((near + (far - near) * (1 - np.abs(2 * along - 1)))[None], size, axis=0)
    return np.full((size, size), rng.uniform(near, far))
