"""A folder of pictures for each class: what is found, and what each picture shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import Answer
from tests.tiny import BACKBONE
from vjo_train.data.index import Index
from vjo_train.data.sources.folders import Folders
from vjo_train.data.sources.opened import load_index
from vjo_train.errors import DataError


def paint(*paths: Path) -> None:
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), (20 * number % 255, 90, 90)).save(path, format="PNG")


def load(root: Path, *classes: str) -> tuple[Folders, Index]:
    source = Folders()
    return source, load_index(source, root, classes or source.class_names(root), root.parent / "cache")


def test_splits_hold_classes_hold_pictures(tmp_path: Path) -> None:
    root = tmp_path / "set"
    paint(root / "train/cat/a.png", root / "train/cat/deep/b.JPG", root / "train/dog/c.webp", root / "valid/dog/d.png")
    paint(root / "train/.hidden/x.png")
    (root / "train/cat/notes.txt").write_text("no picture")
    (root / "test/cat").mkdir(parents=True)
    source, index = load(root)
    assert source.class_names(root) == ["cat", "dog"]
    assert source.splits(root) == ["train", "valid"], "a split without pictures is none"
    assert source.split(root, "train") == ["train/cat/a.png", "train/cat/deep/b.JPG", "train/dog/c.webp"]
    assert source.split(root, "val") == ["valid/dog/d.png"]
    assert source.has_split(root, "val")
    assert [source.read(root, index, row, "classes").tolist() for row in range(4)] == [
        [1, -1],
        [1, -1],
        [-1, 1],
        [-1, 1],
    ]
    assert index.sizes.tolist() == [[30, 40]] * 4
    source, index = load(root, "dog")
    assert source.read(root, index, 0, "classes").tolist() == [-1]
    with pytest.raises(DataError, match="there is no split 'test'; found train, valid"):
        source.split(root, "test")


def test_maps_among_the_pictures_are_none(tmp_path: Path) -> None:
    """BUSI's, whose names have spaces; a picture whose name only ends like a map's stays."""
    root = tmp_path / "set"
    names = ("b (1).png", "b (1)_mask.png", "b (1)_mask_1.png", "c_GT.tif", "c.png", "face_mask.png")
    paint(*(root / "benign" / name for name in names), root / "normal/b (1)_mask.png")
    source, index = load(root)
    kept = ["benign/b (1).png", "benign/c.png", "benign/face_mask.png", "normal/b (1)_mask.png"]
    assert index.ids.tolist() == kept
    assert sorted(path for split in source.splits(root) for path in source.split(root, split))[-1] == kept[-1]
    assert "3 files are maps of other pictures by their names, and left out: benign/b (1)_mask.png" in index.notes[:, 1]


def test_maps_in_folders_beside_the_pictures_are_none(tmp_path: Path) -> None:
    """COVID-19 Radiography: a class has a folder of pictures and one of maps; a split may have a class called mask."""
    root, faces = tmp_path / "set", tmp_path / "faces"
    for name in ("COVID", "Normal"):
        paint(root / f"{name}/images/{name}-1.png", root / f"{name}/masks/{name}-1.png")
        paint(*(faces / split / kind / "1.png" for split in ("train", "val") for kind in ("mask", "no_mask")))
    index = load(root)[1]
    assert index.classes.tolist() == ["COVID", "Normal"]
    assert index.ids.tolist() == ["COVID/images/COVID-1.png", "Normal/images/Normal-1.png"]
    assert (
        "2 files are maps of other pictures by their names, and left out: COVID/masks/COVID-1.png" in index.notes[:, 1]
    )
    source, index = load(faces)
    assert (source.splits(faces), index.classes.tolist(), len(index)) == (["train", "val"], ["mask", "no_mask"], 4)


def test_an_index_that_other_code_has_read_is_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A new version of the program may read the same files otherwise."""
    caplog.set_level("INFO")
    root = tmp_path / "set"
    paint(root / "train/cat/a.png", root / "train/dog/b.png")
    for code, times in (("one", 1), ("one", 1), ("two", 2)):
        monkeypatch.setattr("vjo_train.data.sources.opened._code", lambda _, code=code: code)
        load(root)
        assert caplog.text.count("Reading the annotations") == times


def test_without_splits_the_pictures_are_shared_out(tmp_path: Path) -> None:
    root = tmp_path / "set"
    paint(*(root / name / f"{k}.png" for name in ("cat", "dog") for k in range(20)))
    source, _ = load(root)
    parts = {name: source.split(root, name) for name in ("train", "val", "test")}
    assert sorted(chain(*parts.values())) == sorted(f"{name}/{k}.png" for name in ("cat", "dog") for k in range(20))
    assert len(parts["train"]) == 32
    assert source.class_names(root) == ["cat", "dog"]


def test_a_broken_picture_and_an_empty_folder(tmp_path: Path) -> None:
    root = tmp_path / "set"
    paint(root / "cat/a.png")
    (root / "cat/b.png").write_bytes(b"no picture")
    _, index = load(root)
    assert index.faulty.tolist() == [1]
    assert "b.png: damaged or no picture" in str(index.faults[0])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="found no folders of pictures"):
        Folders().root(tmp_path / "empty")


@pytest.mark.slow
def test_a_classifier_trains_on_it(command: Callable[..., Answer], tmp_path: Path) -> None:
    root = tmp_path / "set"
    paint(
        *(root / split / name / f"{k}.png" for split in ("train", "test") for name in ("cat", "dog") for k in range(4))
    )
    words = ["dataset=folders", f"dataset.root={root}", "dataset.size=32", "dataset.batch_size=4", "dataset.workers=0"]
    words += ["heads=[classification]", *BACKBONE, "neck.channels=16", "trainer.max_epochs=1", "insight=[]"]
    assert command("vjo-train", *words, "trainer.progress=false", "hydra.run.dir=run")[0] == 0
    results = json.loads(Path("run/results.json").read_text())
    assert set(results["per_class"]["test/classification/ap"]) == {"cat", "dog"}
    status, _, err = command("vjo-train", *words, "heads=[detection]")
    assert status == 2
    assert "heads.detection: needs labels of the kind boxes; this data set gives classes, category." in err
