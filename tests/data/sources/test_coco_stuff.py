"""COCO's stuff: run lengths and PNGs of category ids."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.sources.written import document, thing, written
from vjo_train.data.sources.coco.stuff import CocoStuff
from vjo_train.data.sources.guess.folders import looks_like
from vjo_train.data.sources.opened import load_index
from vjo_train.errors import DataError

SIZE = {"width": 4, "height": 2}


def write(root: Path, split: str = "train2017", categories: dict[int, str] | None = None) -> None:
    """Grass on the left half and other on the right half of `a`; nothing is known of `b`."""
    halves = [{"counts": [0, 4, 4], "size": [2, 4]}, {"counts": [4, 4], "size": [2, 4]}]
    rows = [thing(1, key, (2 * k, 0, 2, 2), halves[k], id=k + 1) for k, key in enumerate((95, 183))]
    found = document({"a.png": SIZE, "b.png": SIZE}, rows, categories or {95: "grass", 183: "other"})
    written(root / f"annotations/stuff_{split}.json", found, root / split)


def read(root: Path, classes: list[str], picture: str) -> list[list[int]]:
    source = CocoStuff()
    index = load_index(source, root, classes, root / "cache")
    (row,) = index.rows([picture]).tolist()
    assert index.labelled["semantic"][row]
    return list(source.read(root, index, row, "semantic").tolist())


def test_run_lengths_are_the_classes_of_pixels(tmp_path: Path) -> None:
    write(tmp_path)
    source = CocoStuff()
    assert [kind.name for kind in source.kinds] == ["semantic"]
    assert source.class_names(source.root(tmp_path)) == ["grass", "other"]
    assert read(tmp_path, ["grass", "other"], "a") == [[1, 1, 2, 2]] * 2
    assert read(tmp_path, ["other"], "a") == [[0, 0, 1, 1]] * 2
    assert "dataset=coco_stuff" in looks_like(tmp_path)


def test_a_folder_of_pixel_maps_goes_first(tmp_path: Path) -> None:
    write(tmp_path)
    folder = tmp_path / "annotations/stuff_train2017_pixelmaps"
    folder.mkdir()
    before = CocoStuff().stamp(tmp_path)
    Image.fromarray(np.array([[183, 95, 0, 255]] * 2, np.uint8)).save(folder / "b.png")
    assert CocoStuff().stamp(tmp_path) != before
    assert read(tmp_path, ["grass", "other"], "b") == [[2, 1, 0, 255]] * 2
    assert read(tmp_path, ["other"], "b") == [[1, 0, 0, 255]] * 2
    assert read(tmp_path, ["grass", "other"], "a") == [[1, 1, 2, 2]] * 2, "without a map, the run lengths"


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no annotations/stuff_<split>\.json"):
        CocoStuff().root(tmp_path)
    write(tmp_path)
    write(tmp_path, "val2017", {95: "grass", 183: "sky"})
    with pytest.raises(DataError, match=r"category 183 is 'sky', and 'other' in another file"):
        CocoStuff().read_index(tmp_path, ["grass"])
