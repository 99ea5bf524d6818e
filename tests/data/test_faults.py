"""Planted faults are found, each once and by its name, and a sound data set has none."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from tests.data.conftest import Devkit
from tests.data.test_datamodule import make
from vjo_train.data import faults
from vjo_train.data.faults import Fault
from vjo_train.data.shape_painting import CLASSES
from vjo_train.data.sources.voc.source import VOC


def looked(data) -> tuple[dict[int, faults.Look], list[Fault]]:
    found = list(faults.look_at_files(data, np.arange(len(data.index))))
    return {row: look for row, look, _ in found if look is not None}, [f for _, _, own in found for f in own]


def test_a_drawn_set_is_sound(shapes_root: Path, tmp_path: Path) -> None:
    data = make(shapes_root, tmp_path)
    parts, broken = faults.splits(data)
    assert ({name: len(rows) for name, rows in parts.items()}, broken) == ({"train": 24, "val": 6, "test": 10}, [])
    looks, wrong = looked(data)
    assert len(looks) == 40
    assert wrong == []
    assert faults.duplicates(data.index, parts, looks) == []
    assert faults.broken_annotations(data.index) == []


def test_every_broken_annotation_and_list_is_named(devkit: Devkit, tmp_path: Path) -> None:
    devkit.image("good")
    devkit.image("outside", objects=[("star", (1, 1, 50, 9), 0)])
    devkit.image("stranger", objects=[("stone", (1, 1, 9, 9), 0)])
    found = faults.broken_annotations(make(devkit.root, tmp_path / "before", source=VOC(boxes="strict")).index)
    assert [(f.where, f.fatal) for f in found] == [("outside.xml", True), ("stranger.xml", True)]
    assert "leaves the image of 40 x 30 pixels" in found[0].what
    for name in ("outside", "stranger"):
        (devkit.root / "Annotations" / f"{name}.xml").unlink()
    devkit.split("train", ["good"])
    devkit.split("val", ["good", "absent"])
    parts, broken = faults.splits(make(devkit.root, tmp_path, val_split=None))
    assert list(parts) == ["train"]
    assert [(f.where, "there is no split 'test'" in f.what) for f in broken] == [("test", True)]


def test_files_that_contradict_their_annotation(devkit: Devkit, tmp_path: Path) -> None:
    star = ("star", (2, 2, 11, 11), 0)
    for name in ("cut", "large", "moved", "sound", "wild"):
        devkit.image(name, objects=[star])
    Image.new("RGB", (41, 30)).save(devkit.root / "JPEGImages" / "large.jpg")
    cut = devkit.root / "JPEGImages" / "cut.jpg"
    cut.write_bytes(cut.read_bytes()[:400])
    for name, top in (("sound", 1), ("moved", 20)):
        mask = np.zeros((30, 40))
        mask[top : top + 10, 1:11] = 1
        devkit.mask("SegmentationObject", name, mask)
    devkit.mask("SegmentationClass", "wild", np.full((30, 40), 9))
    _, wrong = looked(make(devkit.root, tmp_path))
    kinds = {f.where: (f.kind, f.fatal) for f in wrong}
    assert kinds == {
        "cut.jpg": ("unreadable image", True),
        "large.jpg": ("wrong image size", True),
        "moved": ("mask outside box", False),
        "SegmentationClass/wild.png": ("broken label", True),
    }


def test_suspicious_boxes(devkit: Devkit, tmp_path: Path) -> None:
    whole, tiny, box = (1, 1, 40, 30), (5, 5, 5, 20), (3, 3, 20, 20)
    devkit.image("a", objects=[("star", whole, 0), ("ring", tiny, 0)])
    devkit.image("b", objects=[("star", box, 0), ("ring", box, 0), ("star", box, 1), ("star", (20, 3, 40, 20), 0)])
    index = make(devkit.root, tmp_path, size=64).index
    found = faults.suspicious_boxes(index, np.arange(2), (64, 64))
    assert [(f.kind, f.where) for f in found] == [("tiny box", "a"), ("huge box", "a"), ("duplicate box", "b")]
    assert "objects 1 and 3 (star)" in found[-1].what
    assert Counter(f.kind for f in faults.suspicious_boxes(index, np.arange(2), (800, 800))) == {
        "huge box": 1,
        "duplicate box": 1,
    }


def test_duplicates_by_bytes_and_by_look(shapes_root: Path, devkit: Devkit, tmp_path: Path) -> None:
    pictures = sorted((shapes_root / "JPEGImages").glob("*.jpg"))[:4]
    for name, picture in zip(("one", "two", "three", "four"), pictures, strict=True):
        devkit.image(name, 64, 64).write_bytes(picture.read_bytes())
    devkit.image("copy", 64, 64).write_bytes(pictures[0].read_bytes())
    with Image.open(pictures[1]) as image:
        image.resize((96, 96)).save(devkit.image("again", 96, 96), quality=60)
    for name in ("plain", "flat"):
        Image.new("RGB", (64, 64), (90, 20 * len(name), 90)).save(devkit.image(name, 64, 64))
    data = make(devkit.root, tmp_path)
    looks, _ = looked(data)
    place = {str(name): row for row, name in enumerate(data.index.ids)}
    test = ["again", "flat", "plain"]
    train = np.array([row for name, row in place.items() if name not in test])
    found = faults.duplicates(data.index, {"train": train, "test": np.array([place[name] for name in test])}, looks)
    assert [(f.kind, f.where) for f in found] == [
        ("duplicate image between splits", "two"),
        ("duplicate image in a split", "copy"),
    ]
    assert "same picture (correlation 0.99" in found[0].what
    assert "(train) is the same file as one (train)" in found[1].what


def test_classes_without_objects(devkit: Devkit, tmp_path: Path) -> None:
    devkit.image("a", objects=[(name, (1, 1, 20, 20), 0) for name in CLASSES[:-1]])
    found = faults.missing_classes(make(devkit.root, tmp_path).index, {"test": np.arange(1)}, CLASSES)
    assert [f.what for f in found] == [f"has no object of {CLASSES[-1]}"]
    assert not faults.missing_classes(make(devkit.root, tmp_path).index, {"test": np.arange(1)}, CLASSES[:-1])
