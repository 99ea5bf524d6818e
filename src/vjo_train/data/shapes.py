"""A built-in data set of drawn shapes, written in the devkit's layout and read like any other."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Interval
from PIL import Image

from vjo_train.data.shape_painting import CLASSES
from vjo_train.data.shape_scene import Scene, draw
from vjo_train.data.sources.voc import layout
from vjo_train.drawing.palette import voc_palette
from vjo_train.errors import ConfigError

log = logging.getLogger(__name__)

FORMAT = 1
"""Raised when the same parameters draw other pictures."""

_STAMP = "shapes.json"


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

    classes: ClassVar[tuple[str, ...]] = CLASSES
    folders: ClassVar[tuple[str, ...]] = (layout.IMAGES, layout.ANNOTATIONS, layout.CLASS_MASKS, layout.OBJECT_MASKS)

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

    def check_classes(self, names: Sequence[str]) -> None:
        """Raises ConfigError where a data set of this drawing is given other classes."""
        if tuple(names) != self.classes:
            raise ConfigError(f"dataset.classes: found {list(names)}; the drawn classes are {list(self.classes)}.")

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
        for name in self.folders:
            (root / name).mkdir()
        ids: dict[str, list[str]] = {}
        masked: set[str] = set()
        for number, (split, count) in enumerate(self.counts.items()):
            ids[split] = [f"{number}{image:05d}" for image in range(count)]
            for image, name in enumerate(ids[split]):
                has_masks = math.floor((image + 1) * self.masked) > math.floor(image * self.masked)
                self.save(root, name, [self.seed, number, image], has_masks)
                if has_masks:
                    masked.add(name)
        ids["trainval"] = ids["train"] + ids["val"]
        for kind in ("Main", "Segmentation"):
            (root / "ImageSets" / kind).mkdir(parents=True)
            for split, names in ids.items():
                chosen = names if kind == "Main" else [name for name in names if name in masked]
                (root / "ImageSets" / kind / f"{split}.txt").write_text("".join(f"{name}\n" for name in chosen))
        (root / _STAMP).write_text(json.dumps(self.parameters, indent=2) + "\n")

    def save(self, root: Path, name: str, seed: Sequence[int], masked: bool) -> None:
        """Draws one image and writes its files."""
        save_scene(root, name, draw(np.random.default_rng(seed), self.image_size, self.hardness), masked)


def save_scene(root: Path, name: str, scene: Scene, masked: bool) -> None:
    """Writes the picture, its annotation and perhaps its masks."""
    Image.fromarray(scene.image).save(root / layout.IMAGES / f"{name}.jpg", quality=90)
    (root / layout.ANNOTATIONS / f"{name}.xml").write_text(_xml(name, scene, masked))
    if not masked:
        return
    lookup = np.full(256, 255, np.uint8)
    lookup[0] = 0
    for number, label in enumerate(scene.labels, start=1):
        lookup[number] = label + 1
    for folder, indices in ((layout.CLASS_MASKS, lookup[scene.objects]), (layout.OBJECT_MASKS, scene.objects)):
        picture = Image.fromarray(indices, mode="P")
        picture.putpalette(voc_palette().tobytes())
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
