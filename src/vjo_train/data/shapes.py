"""A built-in data set of drawn shapes, written in the devkit's layout and read like any other."""

from __future__ import annotations

import colorsys
import hashlib
import json
import logging
import math
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeAlias

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Interval
from PIL import Image, ImageDraw, ImageFilter

from vjo_train.data import voc
from vjo_train.errors import ConfigError

log = logging.getLogger(__name__)

FORMAT = 1
"""Raised when the same parameters draw other pictures."""

CLASSES = ("circle", "square", "triangle", "star", "ring", "cross")

_STAMP = "shapes.json"
_OVERSAMPLING = 3
_HIDDEN = 0.15
"""No object is hidden more than this allows: a smaller visible share is not drawn at all."""
_DIFFICULT = 0.4
"""Below this visible share an object counts as difficult."""

_Rgb: TypeAlias = npt.NDArray[np.float32]
_Mask: TypeAlias = npt.NDArray[np.bool_]


class Shapes:
    """Draws 0 to 4 objects an image over textured backgrounds: circles, squares, triangles, stars, rings, crosses.

    Sizes vary by a factor of up to four; objects overlap, are cut by the border, and have textures and, from
    `hardness` 0.5 on, colours that say nothing of their class; scattered strokes belong to no class. One image in
    twenty has no object. An object of which less than two fifths is visible is difficult. Each picture is a function
    of (seed, split, number) alone, so a larger set contains the smaller one.

    Args:
        train: images in the split `train`; `trainval` is `train` and `val` together.
        val: images in the split `val`.
        test: images in the split `test`.
        image_size: side of the square pictures in pixels.
        masked: share of the images that have class and object masks.
        hardness: from 0, plain objects that stand out in the colour of their class, over 0.5, where colours say
            nothing, to 1, where textures, strokes, small sizes and occlusion hide them.
        seed: of all drawing.
    """

    classes = CLASSES

    def __init__(
        self,
        *,
        train: Annotated[int, Ge(1)] = 800,
        val: Annotated[int, Ge(1)] = 100,
        test: Annotated[int, Ge(1)] = 200,
        image_size: Annotated[int, Interval(ge=32, le=1024)] = 128,
        masked: Annotated[float, Interval(ge=0, le=1)] = 0.5,
        hardness: Annotated[float, Interval(ge=0, le=1)] = 0.5,
        seed: Annotated[int, Ge(0)] = 0,
    ) -> None:
        self.counts = {"train": train, "val": val, "test": test}
        self.image_size, self.masked, self.hardness, self.seed = image_size, masked, hardness, seed

    @property
    def parameters(self) -> dict[str, object]:
        """What decides every byte that is written."""
        return {
            "format": FORMAT,
            **self.counts,
            "image_size": self.image_size,
            "masked": self.masked,
            "hardness": self.hardness,
            "seed": self.seed,
        }

    def folder(self, cache: Path) -> Path:
        """Where `write` puts the set below `cache`: one folder for each choice of parameters."""
        key = hashlib.sha256(json.dumps(self.parameters, sort_keys=True).encode()).hexdigest()[:12]
        return cache / f"shapes-{key}"

    def write(self, folder: Path) -> None:
        """Draws the set into `folder`, or leaves it as it is where it holds this very set already.

        It is drawn beside and renamed when whole, so two processes may do this at once.

        Raises:
            ConfigError: `folder` holds something else.
        """
        if folder.exists() and any(folder.iterdir()):
            self._check(folder)
            return
        log.info("Drawing %d images into %s.", sum(self.counts.values()), folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=".tmp", dir=folder.parent))
        try:
            self._write(draft)
            draft.chmod(0o755)
            try:
                os.rename(draft, folder)
            except OSError:
                if not folder.is_dir():
                    raise
                self._check(folder)  # another process was first
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _check(self, folder: Path) -> None:
        try:
            found = json.loads((folder / _STAMP).read_text())
        except (OSError, ValueError):
            found = None
        if found != self.parameters:
            what = "is no drawn data set" if found is None else f"was drawn with {found}, not {self.parameters}"
            raise ConfigError(f"dataset.root: {folder} {what}; give another folder, or null for the cache.")

    def _write(self, root: Path) -> None:
        for name in (voc.IMAGES, voc.ANNOTATIONS, voc.CLASS_MASKS, voc.OBJECT_MASKS):
            (root / name).mkdir()
        ids: dict[str, list[str]] = {}
        masked: set[str] = set()
        for number, (split, count) in enumerate(self.counts.items()):
            ids[split] = [f"{number}{image:05d}" for image in range(count)]
            for image, name in enumerate(ids[split]):
                scene = draw(np.random.default_rng([self.seed, number, image]), self.image_size, self.hardness)
                has_masks = math.floor((image + 1) * self.masked) > math.floor(image * self.masked)
                _save(root, name, scene, has_masks)
                if has_masks:
                    masked.add(name)
        ids["trainval"] = ids["train"] + ids["val"]
        for kind in ("Main", "Segmentation"):
            (root / "ImageSets" / kind).mkdir(parents=True)
            for split, names in ids.items():
                chosen = names if kind == "Main" else [name for name in names if name in masked]
                (root / "ImageSets" / kind / f"{split}.txt").write_text("".join(f"{name}\n" for name in chosen))
        (root / _STAMP).write_text(json.dumps(self.parameters, indent=2) + "\n")


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
    """

    image: npt.NDArray[np.uint8]
    objects: npt.NDArray[np.uint8]
    labels: list[int]
    boxes: list[tuple[int, int, int, int]]
    difficult: list[bool]
    truncated: list[bool]


def draw(rng: np.random.Generator, size: int, hardness: float) -> Scene:
    """A scene of `size` x `size` pixels; `hardness` from 0 to 1."""
    ease = 1 - hardness
    canvas = _texture(rng, size, _colour(rng), strength=rng.uniform(20, 55) * (1 - 0.8 * ease))
    _clutter(rng, canvas, size, strokes=round(hardness * int(rng.integers(0, 6))))
    smallest, hidden = 0.075 + 0.075 * ease, _HIDDEN + 0.5 * ease**2
    wanted = 0 if rng.random() < 0.05 else int(rng.integers(1, 5))
    owner = np.zeros((size, size), np.uint8)
    labels: list[int] = []
    areas: list[int] = []
    for _ in range(4 * wanted):
        if len(labels) == wanted:
            break
        label = int(rng.integers(len(CLASSES)))
        radius = size * math.exp(rng.uniform(math.log(smallest), math.log(0.3)))
        centre = rng.uniform(0.4 * radius, size - 0.4 * radius, size=2)
        alpha = _rasterise(label, radius, centre, hardness * rng.uniform(-math.pi, math.pi), size)
        mask = alpha > 0.5
        full = _area(label, radius)
        left = [((owner == k + 1) & ~mask).sum() / area for k, area in enumerate(areas)]
        if mask.sum() < max(0.3 * full, 12) or min(left, default=1.0) < hidden:
            continue
        colour = _class_colour(rng, label) if rng.random() < 1 - 2 * hardness else _colour(rng)
        _paint(rng, canvas, alpha, size, colour, contrast=50 + 50 * ease, strength=rng.uniform(0, 35) * hardness)
        owner[mask] = len(labels) + 1
        labels.append(label)
        areas.append(int(full))
    noisy = canvas + rng.normal(0, rng.uniform(2, 8), canvas.shape)
    return _scene(noisy.clip(0, 255).astype(np.uint8), owner, labels, areas)


def _scene(image: npt.NDArray[np.uint8], owner: npt.NDArray[np.uint8], labels: list[int], areas: list[int]) -> Scene:
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
    )


def _border(owner: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Marks by 255 the pixels whose neighbours above, below, left or right belong to something else."""
    padded = np.pad(owner, 1, mode="edge")
    middle = padded[1:-1, 1:-1]
    edge = np.zeros(owner.shape, np.bool_)
    for other in (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]):
        edge |= other != middle
    return np.where(edge, np.uint8(255), owner)


def _area(label: int, radius: float) -> float:
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


def _rasterise(
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
        turn = np.asarray([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
        corners = _outline(label) @ turn * outer + (x, y)
        pen.polygon([(float(a), float(b)) for a, b in corners], fill=255)
    return np.asarray(sheet.reduce(scale), np.float32) / np.float32(255)


def _paint(
    rng: np.random.Generator,
    canvas: _Rgb,
    alpha: npt.NDArray[np.float32],
    size: int,
    colour: _Rgb,
    *,
    contrast: float,
    strength: float,
) -> None:
    """Lays an object over the canvas, in `colour` or, where that hardly differs from what lies under it, another."""
    inside = alpha > 0.5
    under = canvas[inside].mean(axis=0)
    while np.abs(colour - under).max() < contrast:
        colour = _colour(rng)
    skin = _texture(rng, size, colour, strength=strength)
    canvas += alpha[..., None] * (skin - canvas)


def _clutter(rng: np.random.Generator, canvas: _Rgb, size: int, strokes: int) -> None:
    """Strokes and soft blobs that belong to no class."""
    sheet = Image.new("L", (size, size), 0)
    pen = ImageDraw.Draw(sheet)
    for _ in range(strokes):
        points = rng.uniform(0, size, size=(int(rng.integers(2, 5)), 2))
        pen.line([(float(a), float(b)) for a, b in points], fill=int(rng.integers(120, 256)), width=max(1, size // 64))
    alpha = np.asarray(sheet.filter(ImageFilter.GaussianBlur(size / 160)), np.float32) / 255
    canvas += alpha[..., None] * (_colour(rng) - canvas)


def _texture(rng: np.random.Generator, size: int, colour: _Rgb, strength: float) -> _Rgb:
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


def _colour(rng: np.random.Generator) -> _Rgb:
    return rng.uniform(25, 230, size=3).astype(np.float32)


def _class_colour(rng: np.random.Generator, label: int) -> _Rgb:
    hue = label / len(CLASSES) + rng.uniform(-0.04, 0.04)
    rgb = colorsys.hsv_to_rgb(hue % 1, rng.uniform(0.6, 1), rng.uniform(0.6, 1))
    return np.float32(255) * np.asarray(rgb, np.float32)


def _save(root: Path, name: str, scene: Scene, masked: bool) -> None:
    Image.fromarray(scene.image).save(root / voc.IMAGES / f"{name}.jpg", quality=90)
    (root / voc.ANNOTATIONS / f"{name}.xml").write_text(_xml(name, scene, masked))
    if not masked:
        return
    lookup = np.full(256, 255, np.uint8)
    lookup[0] = 0
    for number, label in enumerate(scene.labels, start=1):
        lookup[number] = label + 1
    for folder, indices in ((voc.CLASS_MASKS, lookup[scene.objects]), (voc.OBJECT_MASKS, scene.objects)):
        picture = Image.fromarray(indices, mode="P")
        picture.putpalette(_PALETTE)
        picture.save(root / folder / f"{name}.png")


def _xml(name: str, scene: Scene, masked: bool) -> str:
    height, width = scene.objects.shape
    lines = [
        "<annotation>",
        f"\t<filename>{name}.jpg</filename>",
        f"\t<size><width>{width}</width><height>{height}</height><depth>3</depth></size>",
        f"\t<segmented>{int(masked)}</segmented>",
    ]
    for label, box, difficult, truncated in zip(
        scene.labels, scene.boxes, scene.difficult, scene.truncated, strict=True
    ):
        corners = "".join(f"<{tag}>{value}</{tag}>" for tag, value in zip(_CORNERS, box, strict=True))
        lines += [
            "\t<object>",
            f"\t\t<name>{CLASSES[label]}</name>",
            f"\t\t<truncated>{int(truncated)}</truncated>",
            f"\t\t<difficult>{int(difficult)}</difficult>",
            f"\t\t<bndbox>{corners}</bndbox>",
            "\t</object>",
        ]
    return "\n".join([*lines, "</annotation>", ""])


_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def _palette() -> bytes:
    """The devkit's colour map: the bits of the index, dealt to red, green and blue from the top bit down."""
    colours = np.zeros((256, 3), np.uint8)
    index = np.arange(256)
    for shift in range(8):
        for channel in range(3):
            colours[:, channel] |= (((index >> (3 * shift + channel)) & 1) << (7 - shift)).astype(np.uint8)
    return colours.tobytes()


_PALETTE = _palette()
