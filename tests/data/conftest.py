from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vjo_train.data.shapes import Shapes


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real pictures that are no part of the project."""
    folder = os.environ.get("VJO_SHARED")
    if not folder:
        pytest.skip("VJO_SHARED is not set")
    return Path(folder)


@pytest.fixture(scope="session")
def shapes_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small drawn data set; tests must not change it."""
    folder = tmp_path_factory.mktemp("drawn") / "set"
    Shapes(train=24, val=6, test=10, image_size=64).write(folder)
    return folder


Box = tuple[str, tuple[float, float, float, float], int | None]


def xml(width: int, height: int, objects: Sequence[Box] = ()) -> str:
    """An annotation file; an object is (class, devkit box, difficult or None to leave the tag out)."""
    parts = [f"<annotation><size><width>{width}</width><height>{height}</height><depth>3</depth></size>"]
    for name, (x1, y1, x2, y2), difficult in objects:
        flag = "" if difficult is None else f"<difficult>{difficult}</difficult>"
        corners = f"<xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>"
        parts.append(f"<object><name>{name}</name>{flag}<bndbox>{corners}</bndbox></object>")
    return "".join([*parts, "</annotation>"])


class Devkit:
    """Writes a data set file by file."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for folder in ("JPEGImages", "Annotations", "SegmentationClass", "SegmentationObject", "ImageSets/Main"):
            (root / folder).mkdir(parents=True)

    def image(self, name: str, width: int = 40, height: int = 30, objects: Sequence[Box] = ()) -> Path:
        path = self.root / "JPEGImages" / f"{name}.jpg"
        pixels = np.random.default_rng(len(name)).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path, format="JPEG")
        (self.root / "Annotations" / f"{name}.xml").write_text(xml(width, height, objects))
        return path

    def mask(self, folder: str, name: str, indices: np.ndarray) -> Path:
        path = self.root / folder / f"{name}.png"
        picture = Image.fromarray(indices.astype(np.uint8), mode="P")
        picture.putpalette(list(range(256)) * 3)
        picture.save(path)
        return path

    def split(self, name: str, ids: Sequence[str]) -> Path:
        path = self.root / "ImageSets/Main" / f"{name}.txt"
        path.write_text("".join(f"{i}\n" for i in ids))
        return path


@pytest.fixture
def devkit(tmp_path: Path) -> Devkit:
    return Devkit(tmp_path / "set")


@pytest.fixture
def write_xml() -> Callable[..., str]:
    return xml
