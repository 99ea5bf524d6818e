"""A drawn clip: shapes that wander over a background and hide each other, with known identities."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vjo_train.data.shape_painting import (
    CLASSES,
    Rgb,
    add_clutter,
    area_of,
    colour_of_class,
    extremes,
    random_colour,
    rasterised,
    textured,
)
from vjo_train.data.shape_scene import Scene, scene_of

VISIBLE = 0.15
"""Share of an object that must be seen for it to be one of a frame's."""
_CONTRAST = 60
_STREAM = 5
"""Tells the noise of the frames from what is drawn once."""


@dataclass(frozen=True)
class ClipFrame:
    """One frame."""

    scene: Scene
    """With the objects that are seen."""
    ids: list[int]
    """Identity of each object of the scene in the clip, from 1."""
    labels: list[int]
    """Class of every object of the clip, in the order of identities."""
    boxes: npt.NDArray[np.float64]
    """[K, 4] xyxy of every whole object, cut at the edges of the picture, in continuous pixels."""
    visible: list[float]
    """Share of every object that is seen, 0..1."""


@dataclass(frozen=True)
class _Actor:
    """One object: what it looks like, and where it is when."""

    label: int
    radius: float
    skin: Rgb
    middle: npt.NDArray[np.float64]
    reach: npt.NDArray[np.float64]
    """[2] how far it goes from the middle along x and y."""
    pace: npt.NDArray[np.float64]
    """[2] radians a frame."""
    phase: npt.NDArray[np.float64]
    angle: float
    turn: float
    """Radians a frame."""

    def centre(self, frame: int) -> npt.NDArray[np.float64]:
        place: npt.NDArray[np.float64] = self.middle + self.reach * np.sin(self.pace * frame + self.phase)
        return place


class Clip:
    """Any frame of a clip, as a function of the seed and the frame's number alone.

    Each object swings along x and y at paces of its own, between the edges of the picture, so all cross each other;
    later ones are in front. Colours, textures and sizes are as in `Shapes`.

    Args:
        seed: of everything.
        objects: how many.
        size: side of the square frames in pixels.
        hardness: as of `Shapes`.
    """

    def __init__(self, seed: tuple[int, ...], objects: int, size: int, hardness: float) -> None:
        rng = np.random.default_rng(seed)
        self.seed, self.size = seed, size
        ease = 1 - hardness
        base = random_colour(rng)
        self._ground = textured(rng, size, base, strength=rng.uniform(20, 55) * (1 - 0.8 * ease))
        add_clutter(rng, self._ground, size, strokes=round(hardness * int(rng.integers(0, 6))))
        self._actors = [_actor(rng, size, hardness, base) for _ in range(objects)]

    def frame(self, number: int) -> ClipFrame:
        """The frame with this number, from 1."""
        canvas, owner = self._ground.copy(), np.zeros((self.size, self.size), np.uint8)
        places = []
        for k, actor in enumerate(self._actors, 1):
            centre, angle = actor.centre(number), actor.angle + actor.turn * number
            alpha = rasterised(actor.label, actor.radius, centre, angle, self.size)
            shift = centre.round().astype(np.int64)
            skin = np.roll(actor.skin, (shift[1], shift[0]), (0, 1))
            canvas += alpha[..., None] * (skin - canvas)
            owner[alpha > 0.5] = k
            places.append((centre, angle))
        rng = np.random.default_rng((*self.seed, _STREAM, number))
        image = (canvas + rng.normal(0, 4, canvas.shape)).clip(0, 255).astype(np.uint8)
        return self._seen(image, owner, places)

    def _seen(
        self,
        image: npt.NDArray[np.uint8],
        owner: npt.NDArray[np.uint8],
        places: list[tuple[npt.NDArray[np.float64], float]],
    ) -> ClipFrame:
        """Leaves out what is hidden, and numbers the others anew."""
        areas = [area_of(actor.label, actor.radius) for actor in self._actors]
        shares = [min(float((owner == k).sum()) / area, 1.0) for k, area in enumerate(areas, 1)]
        ids = [k for k, share in enumerate(shares, 1) if share >= VISIBLE]
        numbers = np.zeros(len(areas) + 1, np.uint8)
        numbers[ids] = np.arange(1, len(ids) + 1)
        shown = [self._actors[k - 1] for k in ids]
        reach = [extremes(one.label, one.radius, *place) for one, place in zip(self._actors, places, strict=True)]
        scene = scene_of(
            image,
            numbers[owner],
            [one.label for one in shown],
            [int(areas[k - 1]) for k in ids],
            np.array([reach[k - 1] for k in ids]).reshape(-1, 4, 2),
        )
        whole = np.array([[*points.min(axis=0), *points.max(axis=0)] for points in reach]).clip(0, self.size)
        return ClipFrame(scene, ids, [actor.label for actor in self._actors], whole, shares)


def _actor(rng: np.random.Generator, size: int, hardness: float, under: Rgb) -> _Actor:
    label = int(rng.integers(len(CLASSES)))
    radius = size * math.exp(rng.uniform(math.log(0.09), math.log(0.17)))
    colour = colour_of_class(rng, label) if rng.random() < 1 - 2 * hardness else random_colour(rng)
    while np.abs(colour - under).max() < _CONTRAST:
        colour = random_colour(rng)
    room = size / 2 - 1.1 * radius
    reach = room * rng.uniform(0.7, 1, size=2)
    return _Actor(
        label=label,
        radius=radius,
        skin=textured(rng, size, colour, strength=rng.uniform(0, 35) * hardness),
        middle=size / 2 + rng.uniform(-1, 1, size=2) * (room - reach),
        reach=reach,
        pace=2 * math.pi / rng.uniform(110, 260, size=2),
        phase=rng.uniform(-math.pi, math.pi, size=2),
        angle=hardness * rng.uniform(-math.pi, math.pi),
        turn=hardness * rng.uniform(-0.03, 0.03),
    )
