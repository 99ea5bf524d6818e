"""A map for each class."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Answer
from tests.data.sources.written import picture
from tests.tiny import BACKBONE
from vjo_train.data.sources.class_masks import ClassMasks
from vjo_train.data.sources.opened import load_index
from vjo_train.errors import ConfigError, DataError

LUNGS = {"left": "left/{stem}.png", "right": "right/{stem}.tif"}


def save(path: Path, values: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(values, np.uint8)).save(path)


def maps(source: ClassMasks, root: Path, *classes: str) -> dict[str, list[list[int]] | None]:
    index = load_index(source, source.root(root), list(classes) or source.class_names(root), root / "cache")
    labelled = index.labelled["semantic"]
    assert not index.faults.tolist()
    return {
        str(name): source.read(root, index, row, "semantic").tolist() if labelled[row] else None
        for row, name in enumerate(index.ids)
    }


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Black and white, red on black, and 0 and 1; b has one map, c none."""
    root = tmp_path / "set"
    for name in "abc":
        picture(root / f"images/{name}.jpg", 3, 1)
    save(root / "left/a.png", [[255, 255, 0]])
    save(root / "right/a.tif", [[[0, 0, 0], [200, 0, 0], [0, 0, 0]]])
    save(root / "right/b.tif", [[0, 0, 1]])
    return root


def test_what_is_not_black_is_of_the_class(root: Path) -> None:
    source = ClassMasks(masks=LUNGS)
    wanted = {"images/a.jpg": [[1, 2, 0]], "images/b.jpg": [[0, 0, 2]], "images/c.jpg": None}
    assert source.class_names(root) == ["left", "right"]
    assert maps(source, root) == wanted, "the later one is on top; without any map nothing is known"
    turned = ClassMasks(masks=dict(reversed(LUNGS.items())))
    assert maps(turned, root)["images/a.jpg"] == [[2, 2, 0]]
    assert maps(source, root, "right")["images/a.jpg"] == [[0, 1, 0]]
    before = source.stamp(root)
    save(root / "left/b.png", [[255, 0, 0]])
    assert source.stamp(root) != before
    assert maps(source, root)["images/b.jpg"] == [[1, 0, 2]]


def test_mistakes(root: Path) -> None:
    with pytest.raises(ConfigError, match=r"dataset\.source\.masks\.right: found 'r\.png'; must hold {stem} or {name}"):
        ClassMasks(masks={"left": "{stem}.png", "right": "r.png"})
    with pytest.raises(DataError, match=r"none of its 3 pictures has a map: looked for l/a\.png"):
        maps(ClassMasks(masks={"left": "l/{stem}.png"}), root)


@pytest.mark.slow
def test_a_segmenter_trains_on_it(root: Path, command: Callable[..., Answer]) -> None:
    for k in range(12):
        picture(root / f"images/p{k}.jpg", 40, 30)
        save(root / f"left/p{k}.png", np.pad(np.full((10, 10), 255), ((0, 20), (0, 30))))
    masks = "dataset.source.masks={left: 'left/{stem}.png', right: 'right/{stem}.tif'}"
    words = [f"dataset.root={root}", masks, "dataset.val_fraction=0", "trainer.max_epochs=1", "heads=[semantic]"]
    few = ["dataset.size=32", "dataset.workers=0", "trainer.accelerator=cpu", "neck.channels=16", *BACKBONE]
    status, out, err = command("vjo-train", "dataset=class_masks", *words, *few)
    assert status == 0, err
    assert "miou" in out
