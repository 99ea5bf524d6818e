"""How the shapes of the built-in data set are drawn: outlines, textures, colours."""

from __future__ import annotations

import colorsys
import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

CLASSES = ("circle", "square", "triangle", "star", "ring", "cross")

_OVERSAMPLING = 3

Rgb: TypeAlias = npt.NDArray[np.float32]


def area_of(label: int, radius: float) -> float:
    """The pixels of a whole object, from its outline."""
    if CLASSES[label] in ("circle", "ring"):
        return math.pi * radius**2 * (1 if CLASSES[label] == "circle" else 1 - 0.55**2)
    x, y = _outline(label).T * radius
    return float(abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2)


def _outline(label: int) -> npt.NDArray[np.float64]:
    """[P, 2] corners of a class within the unit circle."""
    name = CLASSES[label]
    if name == "cross":
        a, b = 0.3, 0.95
        corners = [(a, b), (a, a), (b, a), (b, -a), (a, -a), (a, -b), (-a, -b), (-a, -a), (-b, -a), (-b, a), (-a, a)]
        return np.asarray([*corners, (-a, b)])
    spikes, inner = {"square": (4, None), "triangle": (3, None), "star": (5, 0.42)}[name]
    angles = np.arange(spikes * (1 if inner is None else 2)) * (2 * math.pi / (spikes * (1 if inner is None else 2)))
    radii = np.ones(len(angles))
    if inner is not None:
        radii[1::2] = inner
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)


def extremes(label: int, radius: float, centre: npt.NDArray[np.float64], angle: float) -> npt.NDArray[np.float64]:
    """[4, 2]: the topmost, rightmost, lowest and leftmost point (x, y) of the whole outline; the middle of several."""
    if CLASSES[label] in ("circle", "ring"):
        return centre + radius * np.array([(0.0, -1.0), (1.0, 0.0), (0.0, 1.0), (-1.0, 0.0)])
    corners = _corners(label, radius, centre, angle)
    found = []
    for axis, sign in ((1, -1), (0, 1), (1, 1), (0, -1)):
        reach = sign * corners[:, axis]
        found.append(corners[reach > reach.max() - 1e-6 * radius].mean(axis=0))
    return np.stack(found)


def _corners(label: int, radius: float, centre: npt.NDArray[np.float64], angle: float) -> npt.NDArray[np.float64]:
    """[P, 2] of an outline where it is drawn."""
    turn = np.asarray([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    corners: npt.NDArray[np.float64] = _outline(label) @ turn * radius + centre
    return corners


def rasterised(
    label: int, radius: float, centre: npt.NDArray[np.float64], angle: float, size: int
) -> npt.NDArray[np.float32]:
    """[S, S] share of each pixel that the object covers."""
    scale = _OVERSAMPLING
    sheet = Image.new("L", (size * scale, size * scale), 0)
    pen = ImageDraw.Draw(sheet)
    x, y = centre * scale
    outer = radius * scale
    if CLASSES[label] in ("circle", "ring"):
        pen.ellipse((x - outer, y - outer, x + outer, y + outer), fill=255)
        if CLASSES[label] == "ring":
            inner = 0.55 * outer
            pen.ellipse((x - inner, y - inner, x + inner, y + inner), fill=0)
    else:
        corners = _corners(label, outer, centre * scale, angle)
        pen.polygon([(float(a), float(b)) for a, b in corners], fill=255)
    return np.asarray(sheet.reduce(scale), np.float32) / np.float32(255)


def paint(
    rng: np.random.Generator,
    canvas: Rgb,
    alpha: npt.NDArray[np.float32],
    size: int,
    colour: Rgb,
    *,
    contrast: float,
    strength: float,
) -> None:
    """Lays an object over the canvas, in `colour` or, where that hardly differs from what lies under it, another."""
    inside = alpha > 0.5
    under = canvas[inside].mean(axis=0)
    while np.abs(colour - under).max() < contrast:
        colour = random_colour(rng)
    skin = textured(rng, size, colour, strength=strength)
    canvas += alpha[..., None] * (skin - canvas)


def add_clutter(rng: np.random.Generator, canvas: Rgb, size: int, strokes: int) -> None:
    """Strokes and soft blobs that belong to no class."""
    sheet = Image.new("L", (size, size), 0)
    pen = ImageDraw.Draw(sheet)
    for _ in range(strokes):
        points = rng.uniform(0, size, size=(int(rng.integers(2, 5)), 2))
        pen.line([(float(a), float(b)) for a, b in points], fill=int(rng.integers(120, 256)), width=max(1, size // 64))
    alpha = np.asarray(sheet.filter(ImageFilter.GaussianBlur(size / 160)), np.float32) / 255
    canvas += alpha[..., None] * (random_colour(rng) - canvas)


def textured(rng: np.random.Generator, size: int, colour: Rgb, strength: float) -> Rgb:
    """[S, S, 3] the colour, with smooth noise and, often, stripes or checks."""
    cells = int(rng.integers(3, 14))
    coarse = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
    noise = coarse.resize((size, size), Image.Resampling.BICUBIC)
    field = (np.asarray(noise, np.float32) / 127.5 - 1) * np.float32(strength)
    kind = rng.integers(4)
    if kind < 2:
        angle, period = rng.uniform(0, math.pi), size * rng.uniform(0.04, 0.2)
        steps = np.arange(size, dtype=np.float32) * np.float32(2 * math.pi / period)
        across = np.sin(steps[None, :] * math.cos(angle) + steps[:, None] * math.sin(angle))
        if kind == 1:
            across *= np.sin(steps[None, :] * -math.sin(angle) + steps[:, None] * math.cos(angle))
        field += across[..., None].astype(np.float32) * np.float32(0.6 * strength)
    return colour + field


def random_colour(rng: np.random.Generator) -> Rgb:
    """[3] RGB, neither very dark nor very bright."""
    return rng.uniform(25, 230, size=3).astype(np.float32)


def colour_of_class(rng: np.random.Generator, label: int) -> Rgb:
    """[3] RGB of about the hue that stands for a class, where colours tell classes apart."""
    hue = label / len(CLASSES) + rng.uniform(-0.04, 0.04)
    rgb = colorsys.hsv_to_rgb(hue % 1, rng.uniform(0.6, 1), rng.uniform(0.6, 1))
    return np.float32(255) * np.asarray(rgb, np.float32)
