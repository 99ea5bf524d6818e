"""How many epochs does `start_from` save? On drawn shapes, from 6 classes to 4 of them and 2 new ones.

A run learns circles, squares, triangles, stars, rings and crosses. The second data set has hexagons and arrows in the
place of rings and crosses. On it, for each seed, one run starts from random weights with all epochs, and one from the
first run with a quarter of them. Prints the test figure of both, and after how many epochs each was first within 2
points of the better one on val.

    .venv/bin/python scripts/studies/start_from.py output=/tmp/start_from [epochs=40] [seeds=1,2,3] [overrides ...]
"""

from __future__ import annotations

import csv
import logging
import math
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
from hydra import compose, initialize_config_module
from omegaconf import DictConfig

from vjo_train.config import jobs
from vjo_train.data import shape_painting
from vjo_train.data.shapes import CLASSES, Shapes
from vjo_train.data.sources.voc import layout

OTHER = (*CLASSES[:4], "hexagon", "arrow")
METRIC = "detection/map_area"
SETTINGS = (
    "dataset=voc",
    "heads=[detection]",
    "dataset.split=train",
    "dataset.val_split=val",
    "dataset.val_fraction=0",
    "dataset.test_split=test",
    "dataset.size=128",
    "dataset.workers=0",
    "neck.channels=64",
    "heads.detection.depth=2",
    "trainer.progress=false",
    "trainer.drawn_images=0",
    "insight=[]",
)
DRAWN = {"train": 800, "val": 100, "test": 200, "image_size": 128}


def main(words: list[str]) -> None:
    """Draws both data sets, trains, and prints a row for each seed."""
    logging.basicConfig(level=logging.WARNING)
    own = dict(word.split("=", 1) for word in words if word.split("=")[0] in ("output", "epochs", "seeds"))
    rest = [word for word in words if word.split("=")[0] not in own]
    output, epochs = Path(own["output"]), int(own.get("epochs", 40))
    before, after = write_data(output)
    first = train(output / "first", before, CLASSES, [f"trainer.max_epochs={epochs}", *rest])
    print(f"first run, 6 classes, {epochs} epochs: test {first:.3f}")
    start = f"start_from={output / 'first/checkpoints/weights.ckpt'}"
    for seed in map(int, own.get("seeds", "1,2,3").split(",")):
        same = [f"seed={seed}", *rest]
        names = (f"scratch-{seed}", f"started-{seed}")
        scratch = train(output / names[0], after, OTHER, [f"trainer.max_epochs={epochs}", *same])
        started = train(output / names[1], after, OTHER, [f"trainer.max_epochs={max(1, epochs // 4)}", start, *same])
        curves = [validated(output / name) for name in names]
        goal = max(map(max, curves)) - 0.02
        reached = [next((k + 1 for k, value in enumerate(curve) if value >= goal), None) for curve in curves]
        print(
            f"seed {seed}: test {scratch:.3f} from scratch ({epochs} epochs), {started:.3f} started"
            f" ({max(1, epochs // 4)} epochs); within 2 points of the better on val after {reached[0]} and"
            f" {reached[1]} epochs"
        )


def train(folder: Path, root: Path, classes: tuple[str, ...], words: list[str]) -> float:
    """The test figure of a run."""
    with initialize_config_module("vjo_train.conf", version_base="1.3"):
        cfg = compose("train", [*SETTINGS, f"dataset.root={root}", f"dataset.classes=[{','.join(classes)}]", *words])
    assert isinstance(cfg, DictConfig)
    return jobs.train(cfg, folder).metrics[f"test/{METRIC}"]


def validated(folder: Path) -> list[float]:
    """The figure on val after each epoch."""
    with (folder / "metrics.csv").open() as file:
        return [float(row[f"val/{METRIC}"] or math.nan) for row in csv.DictReader(file)]


def write_data(output: Path) -> tuple[Path, Path]:
    """The data set of the first run, and that of the others."""
    before, after = output / "before", output / "after"
    if not after.exists():
        Shapes(**DRAWN).write(before)
        outline = shape_painting._outline
        shape_painting.CLASSES = OTHER
        shape_painting._outline = lambda label: new_outline(OTHER[label]) if label > 3 else outline(label)
        Shapes(**DRAWN, seed=1).write(after)
        for file in (after / layout.ANNOTATIONS).glob("*.xml"):
            text = file.read_text()
            for old, new in zip(CLASSES[4:], OTHER[4:], strict=True):
                text = text.replace(f"<name>{old}</name>", f"<name>{new}</name>")
            file.write_text(text)
        shape_painting.CLASSES, shape_painting._outline = CLASSES, outline
    return before, after


def new_outline(name: str) -> npt.NDArray[np.float64]:
    """[P, 2] corners of a class that the first data set does not have, within the unit circle."""
    if name == "hexagon":
        angles = np.arange(6) * math.pi / 3
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.asarray([(1.0, 0.0), (0.1, 0.8), (0.1, 0.3), (-0.9, 0.3), (-0.9, -0.3), (0.1, -0.3), (0.1, -0.8)])


if __name__ == "__main__":
    main(sys.argv[1:])
