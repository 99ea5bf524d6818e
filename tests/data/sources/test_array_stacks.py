"""Arrays with an entry for each picture, as MedMNIST and PanNuke are published."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import Answer
from tests.tiny import BACKBONE
from vjo_train.data.decode import check_image, read_image, read_size
from vjo_train.data.index import Index
from vjo_train.data.sources.array_stacks import ArrayStacks
from vjo_train.data.sources.guess.folders import guesses
from vjo_train.data.sources.opened import load_index
from vjo_train.errors import ConfigError, DataError

COUNTS = {"train": 12, "val": 3, "test": 4}
PACKED = {"images": "m.npz/{split}_images", "labels": "m.npz/{split}_labels"}
FOLDS = {
    "images": "Fold {split}/images/fold{split}/images.npy",
    "objects": "Fold {split}/masks/fold{split}/masks.npy",
}


def load(source: ArrayStacks, root: Path, *classes: str) -> Index:
    return load_index(source, source.root(root), list(classes), root.parent / "cache")


def medmnist(root: Path, labels: Callable[[int], Any], shape: tuple[int, ...] = (28, 28)) -> Path:
    """One compressed file; picture k of a split is of one grey, k."""
    root.mkdir()
    arrays: dict[str, Any] = {}
    for split, count in COUNTS.items():
        greys = np.arange(count, dtype=np.uint8).reshape(-1, *(1 for _ in shape))
        arrays[f"{split}_images"] = np.broadcast_to(greys, (count, *shape))
        arrays[f"{split}_labels"] = np.array([labels(k) for k in range(count)])
    np.savez_compressed(root / "m.npz", **arrays)
    return root


def pannuke(root: Path, scale: float = 1.0) -> Path:
    """Three folds: floats, and a map of numbers for each class, the last one of the background."""
    for fold in (1, 2, 3):
        pictures, maps = root / f"Fold {fold}/images/fold{fold}", root / f"Fold {fold}/masks/fold{fold}"
        for folder in (pictures, maps):
            folder.mkdir(parents=True)
        pixels = np.random.default_rng(fold).integers(0, 256, (4, 32, 32, 3)).astype(np.float64)
        pixels[1] = 1  # a nearly black one
        np.save(pictures / "images.npy", pixels * scale)
        np.save(pictures / "types.npy", np.array(["Colon", "Breast", "Colon", "Liver"]))
        values = np.zeros((4, 32, 32, 3))
        values[:, 2:6, 3:9, 0], values[:, 10:14, 10:20, 0], values[:, 4:8, 3:9, 1] = 7, 9, 7
        values[2] = 0
        values[..., 2] = (values[..., :2] == 0).all(axis=-1)
        np.save(maps / "masks.npy", values)
    return root


@pytest.mark.parametrize("shape", [(28, 28), (28, 28, 1), (28, 28, 3)])
def test_medmnist_has_a_class_for_each_picture(tmp_path: Path, shape: tuple[int, ...]) -> None:
    root = medmnist(tmp_path / "set", lambda k: [k % 3], shape)
    source = ArrayStacks(**PACKED)
    assert source.splits(root) == ["test", "train", "val"]
    index = load(source, root, "a", "b", "c")
    for split, count in COUNTS.items():
        rows = index.rows(source.split(root, split)).tolist()
        assert [source.read(root, index, row, "category") for row in rows] == [k % 3 for k in range(count)]
        for k, row in enumerate(rows):
            path = index.image(root, row)
            assert index.size(row) == read_size(path) == (28, 28)
            check_image(path, (28, 28))
            assert torch.equal(read_image(path), torch.full((3, 28, 28), k, dtype=torch.uint8))
    assert source.read(root, index, 0, "classes").tolist() == [1, -1, -1]
    with pytest.raises(
        DataError, match=r"m\.npz/test_labels: found the classes 0 to 2; dataset\.classes has 2, from 0"
    ):
        load(source, root, "a", "b")
    with pytest.raises(DataError, match=r"dataset\.classes: .* names no classes"):
        source.class_names(root)


def test_several_classes_of_a_picture(tmp_path: Path) -> None:
    """ChestMNIST."""
    root = medmnist(tmp_path / "set", lambda k: [k % 2, 1, 0])
    source = ArrayStacks(**PACKED)
    index = load(source, root, "a", "b", "c")
    rows = index.rows(source.split(root, "val")).tolist()
    assert [source.read(root, index, row, "classes").tolist() for row in rows] == [[-1, 1, -1], [1, 1, -1], [-1, 1, -1]]
    assert index.labelled["category"][rows].tolist() == [True, False, True]


@pytest.mark.parametrize("scale", [1.0, 1 / 255])
def test_pannuke_has_a_map_for_each_class(tmp_path: Path, scale: float) -> None:
    root = pannuke(tmp_path / "set", scale)
    source = ArrayStacks(**FOLDS)
    assert source.splits(root) == ["1", "2", "3"]
    index = load(source, root, "neoplastic", "inflammatory")
    assert index.notes[:, 1].tolist() == ["1 maps of each picture behind those of dataset.classes are left out"]
    first, empty = index.rows(source.split(root, "2"))[[0, 2]].tolist()
    found = index.objects(first)
    assert found.boxes.tolist() == [[3, 2, 9, 6], [10, 10, 20, 14], [3, 4, 9, 8]]
    assert found.labels.tolist() == [0, 0, 1]
    masks, semantic = (source.read(root, index, first, kind) for kind in ("masks", "semantic"))
    assert masks.sum(dim=(1, 2)).tolist() == [24, 40, 24], "objects of two classes may overlap"
    assert semantic[[2, 5, 12], [5, 5, 12]].tolist() == [1, 2, 1]
    assert len(index.objects(empty)) == 0
    assert index.labelled["boxes"].all()
    assert source.read(root, index, empty, "masks").shape == (0, 32, 32)
    pixels = np.random.default_rng(2).integers(0, 256, (4, 32, 32, 3))
    np.testing.assert_array_equal(read_image(index.image(root, first)).permute(1, 2, 0), pixels[0])
    nearly_black = index.image(root, index.rows(source.split(root, "2"))[1])
    assert read_image(nearly_black).max() == 1, "the other pictures of the array say what white is"


def test_names_of_classes_in_an_array(tmp_path: Path) -> None:
    root = pannuke(tmp_path / "set")
    source = ArrayStacks(images=FOLDS["images"], labels="Fold {split}/images/fold{split}/types.npy")
    assert source.class_names(root) == ["Breast", "Colon", "Liver"]
    index = load(source, root, "Breast", "Colon")
    rows = index.rows(source.split(root, "1")).tolist()
    assert [source.read(root, index, row, "classes").tolist() for row in rows] == [[-1, 1], [1, -1], [-1, 1], [-1, -1]]
    assert index.labelled["category"][rows].tolist() == [True, True, True, False]


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    root = tmp_path / "set"
    root.mkdir()
    np.save(root / "images.npy", np.zeros((3, 8, 8), np.uint8))
    for values, said in (
        (np.zeros(2, int), "found 2 entries for the 3 pictures of images.npy"),
        (np.zeros(3), "found float64 of shape [3]; must be numbers or names of classes [N]"),
        (np.zeros((3, 4), int), "found int64 of shape [3, 4]; must be numbers"),
        (np.array([None] * 3), "no array (Array can't be memory-mapped"),
    ):
        np.save(root / "labels.npy", values, allow_pickle=True)
        with pytest.raises(DataError) as error:
            load(ArrayStacks(labels="labels.npy"), root, "a", "b")
        assert f"labels.npy: {said}" in str(error.value)
    np.save(root / "objects.npy", np.zeros((3, 8, 9, 2)))
    index = load(ArrayStacks(objects="objects.npy"), root, "a", "b")
    assert "found a map of 9 x 8 pixels; the image has 8 x 8" in index.faults[0]
    np.save(root / "objects.npy", np.zeros((3, 8, 8)))
    assert (
        "found 1 maps; must be one for each of the 2"
        in load(ArrayStacks(objects="objects.npy"), root, "a", "b").faults[0]
    )
    (root / "m.npz").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"m\.npz: no \.npz file"):
        ArrayStacks(**PACKED).root(root)
    with pytest.raises(DataError, match=r"dataset\.source\.images: found no .*none\.npy"):
        ArrayStacks(images="none.npy", labels="labels.npy").root(root)
    with pytest.raises(DataError, match=r"images\.npy: found 3 pictures; there is no number 3"):
        read_image(root / "images.npy/000003")
    with pytest.raises(DataError, match=r"dataset\.source\.labels, dataset\.source\.objects: one of them must name"):
        ArrayStacks().root(root)
    with pytest.raises(ConfigError, match=r"dataset\.source\.labels: found it beside objects; a join reads both"):
        ArrayStacks(labels="a.npy", objects="b.npy")
    with pytest.raises(ConfigError, match=r"found 'labels\.npy' beside '\{split\}\.npy'; must hold \{split\} too"):
        ArrayStacks(images="{split}.npy", labels="labels.npy")


def test_both_sets_are_told(tmp_path: Path) -> None:
    (packed,) = guesses(medmnist(tmp_path / "m", lambda k: [0]))
    (folds,) = guesses(pannuke(tmp_path / "p"))
    assert packed.choice == folds.choice == "arrays"
    assert [key.split("=", 1)[1].strip("\"'") for key in packed.keys[:2]] == [*PACKED.values()]
    assert [key.split("=", 1)[1].strip("\"'") for key in folds.keys[:5]] == [*FOLDS.values(), "1", "2", "3"]


@pytest.mark.slow
def test_a_network_trains_on_arrays(command: Callable[..., Answer], tmp_path: Path) -> None:
    """By loading processes, with all that a run asks of a picture; the check finds the pictures that are alike."""
    root = medmnist(tmp_path / "set", lambda k: [k % 3])
    keys = [f"dataset.source.{key}='{name}'" for key, name in PACKED.items()]
    words = ["dataset=arrays", f"dataset.root={root}", *keys, "dataset.classes=[a,b,c]", "dataset.val_split=val"]
    small = ["dataset.size=32", "dataset.batch_size=4", "dataset.workers=2", "trainer.max_steps=2", *BACKBONE]
    status, _, err = command("vjo-train", *words, *small, "heads=[category]", "insight=[]", "hydra.run.dir=run")
    assert status == 0, err
    assert set(json.loads(Path("run/results.json").read_text())["per_class"]["test/category/recall"]) == {"a", "b", "c"}
    status, out, _ = command("vjo-data", "check", *words)
    assert "Images checked: 19. Faults that would stop a run: 0" in out
    assert "duplicate image between splits" in out
