"""Does a detector learn all classes from two sources that each annotate half of them? On drawn shapes, whole runs.

All six shapes appear in the pictures of both sources; one source annotates three of them, the other the other three.
The test pictures are annotated in full. Four ways to train on them:

- `unknown`: `dataset=mixture`; what a source does not annotate is unknown there.
- `naive`: the union as it is; what a source does not annotate is background there.
- `half`: the pictures of the first source alone, for its own three classes (the figure is over those).
- `full`: both sources annotated in full, the bound above.

Prints, seed by seed, the test figures, over all classes and over the three of each source.

    .venv/bin/python scripts/studies/unknown_classes.py output=/tmp/unknown [seeds=1,2,3] [images=400] [test=400] \\
        [head=detection] [ways=unknown,naive,half,full] [hydra overrides ...]

`images` are those of each source. `head` is a choice of `heads`, such as `detection_faster_rcnn` or `semantic`.
"""

from __future__ import annotations

import logging
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_module
from omegaconf import DictConfig
from PIL import Image

from vjo_train.config import jobs
from vjo_train.data.shape_painting import CLASSES
from vjo_train.data.shapes import Shapes
from vjo_train.data.sources.voc import layout
from vjo_train.runs.results import Results

HALVES = {"left": CLASSES[:3], "right": CLASSES[3:]}
FIGURES = {"detection": "ap_area", "instance": "ap_r50", "semantic": "iou"}
"""Task -> its figure by class."""
SETTINGS = (
    "dataset=mixture",
    f"dataset.classes=[{','.join(CLASSES)}]",
    "dataset.val_fraction=0",
    "dataset.size=96",
    "dataset.workers=0",
    "dataset.augment.zoom_out=0",
    "dataset.augment.jitter=0.3",
    "dataset.augment.jitter_strength=0.3",
    "backbone=resnet10",
    "neck.channels=64",
    "optimizer=adamw",
    "optimizer.lr=0.002",
    "trainer.max_epochs=30",
    "trainer.progress=false",
)
SMALL = {"detection": ["heads.detection.depth=1"], "detection_retinanet": ["heads.detection.depth=1"]}
"""Choice of `heads` -> its own settings."""
OWN = ("output", "seeds", "images", "test", "head", "ways")


def main(arguments: list[str]) -> None:
    """Runs every way for every seed and prints a table."""
    given = dict(word.split("=", 1) for word in arguments if word.split("=", 1)[0] in OWN)
    overrides = [word for word in arguments if word.split("=", 1)[0] not in OWN]
    output, head = Path(given["output"]).resolve(), given.get("head", "detection")
    logging.disable(logging.INFO)
    print("seed | way | all classes | " + " | ".join(", ".join(half) for half in HALVES.values()), flush=True)
    for seed in map(int, given.get("seeds", "1,2,3").split(",")):
        root = output / f"data_{seed}"
        drawn(root, seed, int(given.get("images", "400")), int(given.get("test", "400")))
        for way in given.get("ways", "unknown,naive,half,full").split(","):
            words = [f"dataset.root={root}", f"heads=[{head}]", f"seed={seed}", parts(way), *SMALL.get(head, [])]
            cfg = config([*words, *overrides])
            results = jobs.train(cfg, output / f"{way}_{seed}")
            print(f"{seed} | {way} | {figures(results, head.partition('_')[0])}", flush=True)


def config(overrides: list[str]) -> DictConfig:
    """The settings of a run."""
    with initialize_config_module("vjo_train.conf", version_base="1.3"):
        return compose("train", [*SETTINGS, *overrides])


def parts(way: str) -> str:
    """The override that names the sources of a way."""
    folders = {"half": ["left"], "full": ["left_full", "right_full"]}.get(way, list(HALVES))
    own = [
        _part(folder, names(HALVES.get(folder, CLASSES), full=way in ("naive", "full")), "none") for folder in folders
    ]
    return f"dataset.source.parts={{{', '.join([*own, _part('test', names(CLASSES), 'test')])}}}"


def names(annotated: Sequence[str], full: bool = True) -> list[str]:
    """What a source says that it has looked for: what it annotates, in the order of its masks, or all."""
    return [*annotated, *(name for name in CLASSES if full and name not in annotated)]


def _part(folder: str, known: Sequence[str], test: str) -> str:
    source = "source: {_target_: vjo_train.data.sources.voc.source.VOC}"
    own = f"{source}, root: {folder}, names: [{','.join(known)}], splits: {{test: {test}}}"
    return f"{folder}: {{_target_: vjo_train.data.sources.mixture.Part, {own}}}"


def drawn(root: Path, seed: int, images: int, test: int) -> None:
    """Draws the sources where they are not there yet: `left`, `right`, both in full, and `test`."""
    for place, (name, half) in enumerate(HALVES.items()):
        for folder, annotated in ((f"{name}_full", CLASSES), (name, half)):
            if not (root / folder).exists():
                draw(root / folder, Shapes(train=images, val=1, test=1, **_look(3 * seed + place)), "train", annotated)
    if not (root / "test").exists():
        draw(root / "test", Shapes(train=1, val=1, test=test, **_look(3 * seed + 2)), "test", CLASSES)


def _look(seed: int) -> Mapping[str, int | float]:
    return {"image_size": 128, "masked": 1.0, "hardness": 0.0, "seed": seed}


def draw(root: Path, shapes: Shapes, split: str, annotated: Sequence[str]) -> None:
    """Writes the pictures of one split, with labels of some classes alone."""
    shapes.write(root)
    lists = root / layout.SPLITS
    chosen = (lists / f"{split}.txt").read_text().split()
    for path in lists.glob("*.txt"):
        if path.stem != split:
            path.unlink()
    for folder in layout.FOLDERS:
        for path in (root / folder).iterdir():
            if path.stem not in chosen:
                path.unlink()
    if len(annotated) < len(CLASSES):
        for name in chosen:
            thin(root, name, annotated)


def thin(root: Path, name: str, annotated: Sequence[str]) -> None:
    """Takes the objects of other classes out of the annotation and the masks of a picture."""
    path = root / layout.ANNOTATIONS / f"{name}.xml"
    tree = ElementTree.parse(path)
    numbers = np.arange(256)
    kept = 0
    for number, element in enumerate(tree.getroot().findall("object"), 1):
        own = element.findtext("name") in annotated
        kept += own
        numbers[number] = kept if own else 0
        if not own:
            tree.getroot().remove(element)
    tree.write(path)
    order = list(annotated)
    classes = np.array([0, *(order.index(one) + 1 if one in annotated else 0 for one in CLASSES), *range(7, 256)])
    for folder, table in ((layout.CLASS_MASKS, classes), (layout.OBJECT_MASKS, numbers)):
        file = root / folder / f"{name}.png"
        with Image.open(file) as image:
            mask, palette = np.array(image), image.getpalette()
        changed = Image.fromarray(table[mask].astype(np.uint8), mode="P")
        changed.putpalette(palette or [])
        changed.save(file)


def figures(results: Results, task: str) -> str:
    """The mean test figure over all classes and over each half."""
    by_class = results.per_class[f"test/{task}/{FIGURES[task]}"]
    groups = [CLASSES, *HALVES.values()]
    return " | ".join(f"{np.mean([by_class[name] for name in group]):.3f}" for group in groups)


if __name__ == "__main__":
    main(sys.argv[1:])
