"""Does `weighting=meta` find the images whose labels are wrong? On drawn shapes, through whole runs.

Half of the pictures come from a second source, which can be seen: they have a frame. In training the class labels of
that source are wrong, for each picture by another shift of the classes; its class masks are right. The test and the
meta split have both sources and right labels. Prints, seed by seed, the test figures under `equal` and `meta`, and the
AUC with which low weights for classification point at wrong labels (0.5: chance, 1: all of them first).

    .venv/bin/python scripts/studies/meta_noise.py output=/tmp/meta_noise [seeds=1,2,3] [hydra overrides ...]
"""

from __future__ import annotations

import csv
import logging
import re
import sys
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_module
from omegaconf import DictConfig
from PIL import Image

from vjo_train.config import build, jobs
from vjo_train.data.shape_painting import CLASSES
from vjo_train.data.shapes import Shapes
from vjo_train.data.sources.voc import layout
from vjo_train.runs.results import Results

TASKS = ("classification", "semantic")
SETTINGS = (
    "dataset=voc",
    f"dataset.classes=[{','.join(CLASSES)}]",
    "dataset.split=train",
    "dataset.val_fraction=0",
    "dataset.meta_fraction=0.2",
    "dataset.size=32",
    "dataset.workers=0",
    "dataset.augment.zoom_out=0",
    "dataset.augment.crop=0",
    "dataset.augment.jitter=0",
    "backbone=resnet10",
    "neck.channels=16",
    f"heads=[{','.join(TASKS)}]",
    "heads.classification.pool=max",
    "heads.semantic.width=16",
    "optimizer=adamw",
    "optimizer.lr=0.002",
    "trainer.max_epochs=12",
    "trainer.progress=false",
    "trainer.accelerator=cpu",
)
FRAME = 2
"""Pixels."""


def main(arguments: list[str]) -> None:
    """Runs both weightings for every seed and prints a table."""
    given = dict(word.split("=", 1) for word in arguments if word.startswith(("output=", "seeds=")))
    overrides = [word for word in arguments if not word.startswith(("output=", "seeds="))]
    output = Path(given["output"])
    logging.disable(logging.INFO)
    print("seed | weighting | classification map | semantic miou | AUC | mean weight wrong, right")
    for seed in map(int, given.get("seeds", "1,2,3").split(",")):
        for name, more in (("equal", []), ("meta", ["weighting.lr=0.003"])):
            root = output / f"data_{seed}"
            cfg = config([f"dataset.root={root}", f"seed={seed}", f"weighting={name}", *more, *overrides])
            wrong = spoil(cfg, root, seed)
            results = jobs.train(cfg, output / f"{name}_{seed}")
            print(f"{seed} | {name} | {figures(results)} | {found(output / f'{name}_{seed}', wrong)}", flush=True)


def config(overrides: list[str]) -> DictConfig:
    """The settings of a run."""
    with initialize_config_module("vjo_train.conf", version_base="1.3"):
        return compose("train", [*SETTINGS, *overrides])


def spoil(cfg: DictConfig, root: Path, seed: int) -> set[str]:
    """Draws the pictures where they are not there yet, and returns those whose class labels are wrong."""
    fresh = not root.exists()
    Shapes(train=500, val=1, test=300, image_size=32, masked=1.0, hardness=0.0, seed=seed).write(root)
    rng = np.random.default_rng(seed)
    framed = {path.stem for path in sorted((root / layout.IMAGES).iterdir()) if rng.random() < 0.5}
    data = build.datamodule(cfg)
    wrong = framed & set(data.index.ids[data.train_rows].tolist())
    if fresh:
        for name in sorted(framed):
            frame(root / layout.IMAGES / f"{name}.jpg")
        for name in sorted(wrong):
            shift(root / layout.ANNOTATIONS / f"{name}.xml", int(rng.integers(1, len(CLASSES))))
    return wrong


def frame(path: Path) -> None:
    """Draws a white frame into a picture."""
    with Image.open(path) as image:
        pixels = np.array(image)
    inner = pixels[FRAME:-FRAME, FRAME:-FRAME].copy()
    pixels[:] = 255
    pixels[FRAME:-FRAME, FRAME:-FRAME] = inner
    Image.fromarray(pixels).save(path, quality=90)


def shift(path: Path, by: int) -> None:
    """Gives every object of an annotation the class `by` places on."""

    def other(match: re.Match[str]) -> str:
        return f"<name>{CLASSES[(CLASSES.index(match[1]) + by) % len(CLASSES)]}</name>"

    path.write_text(re.sub(r"<name>(\w+)</name>", other, path.read_text()))


def figures(results: Results) -> str:
    """The test figures of both tasks."""
    return " | ".join(f"{results.metrics[f'test/{name}']:.3f}" for name in ("classification/map", "semantic/miou"))


def found(run: Path, wrong: set[str]) -> str:
    """How well the weights of the last epoch tell wrong from right labels."""
    path = run / "image_weights.csv"
    if not path.is_file():
        return "- | -"
    with path.open() as file:
        weights = {row["image"]: float(row["weight"]) for row in csv.DictReader(file) if row["task"] == TASKS[0]}
    low, high = ([w for image, w in weights.items() if (image in wrong) is bad] for bad in (True, False))
    pairs = np.subtract.outer(low, high)
    return f"{np.mean((pairs < 0) + 0.5 * (pairs == 0)):.3f} | {np.mean(low):.2f}, {np.mean(high):.2f}"


if __name__ == "__main__":
    main(sys.argv[1:])
