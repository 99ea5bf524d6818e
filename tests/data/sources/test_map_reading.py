"""Maps of another size than their picture, and in MATLAB's files, as public sets have them."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.conftest import Answer
from tests.tiny import BACKBONE
from vjo_train.data.index import Index
from vjo_train.data.sources.base import Source
from vjo_train.data.sources.class_masks import ClassMasks
from vjo_train.data.sources.guess.folders import guesses
from vjo_train.data.sources.guess.sign import quoted
from vjo_train.data.sources.instance_files import InstanceFiles
from vjo_train.data.sources.map_reading import OTHER_SIZE, read_map
from vjo_train.data.sources.mask_files import MaskFiles
from vjo_train.data.sources.opened import load_index
from vjo_train.errors import ConfigError, DataError

HALF = np.array([[0, 1, 2, 2], [0, 0, 1, 2]], np.uint8)
"""A map of a picture of 8 x 4 pixels, half as large."""
WHOLE = HALF.repeat(2, 0).repeat(2, 1)
NUCLEI = ["other", "inflammatory", "epithelial"]


def save(path: Path, pixels: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path)
    return path


def load(source: Source, root: Path, *classes: str) -> Index:
    return load_index(source, root, list(classes), root.parent / "cache")


@given(
    picture=st.tuples(st.integers(200, 400), st.integers(200, 400)),
    side=st.integers(100, 800),
    rounded=st.sampled_from([np.floor, np.round, np.ceil]),
)
def test_any_rounding_of_the_shorter_side_is_the_same_shape(
    tmp_path_factory: pytest.TempPathFactory, picture: tuple[int, int], side: int, rounded: Callable[[float], float]
) -> None:
    height, width = side, int(rounded(side * picture[1] / picture[0]))
    if picture[0] < picture[1]:
        height, width = int(rounded(side * picture[0] / picture[1])), side
    path = save(tmp_path_factory.mktemp("map") / "a.png", np.tile(np.arange(width) % 200, (height, 1)))
    found = read_map(path, picture)
    middles = (np.arange(picture[1]) + 0.5) * width / picture[1]
    np.testing.assert_array_equal(found[-1], np.floor(middles).astype(int) % 200)


@pytest.mark.parametrize("size", [(256, 260), (300, 200), (200, 300)])
def test_another_shape_is_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    path = save(tmp_path / "a.png", np.zeros(size))
    said = rf"a\.png: found a mask of {size[1]} x {size[0]} pixels; the image has 299 x 299\. Both must agree, or"
    with pytest.raises(DataError, match=said):
        read_map(path, (299, 299))


@pytest.mark.parametrize("kind", ["numbers", "white", "colours", "array", "matlab", "class_masks", "instances", "each"])
def test_every_source_of_maps_takes_them_and_counts_them(tmp_path: Path, kind: str) -> None:
    """COVID-19 Radiography's maps have 256 x 256 pixels, its pictures 299 x 299."""
    root = tmp_path / "set"
    for name in "ab":
        save(root / f"images/{name}.png", np.zeros((4, 8, 3)))
    classes = ["a", "b"] if kind in ("numbers", "colours", "array", "matlab") else ["a"]
    wanted = WHOLE if len(classes) == 2 else WHOLE > 0
    source: MaskFiles = MaskFiles()
    if kind == "colours":
        save(root / "masks/a.png", np.array([[0, 0, 0], [9, 8, 7], [6, 5, 4]])[HALF])
        source = MaskFiles(palette={"a": [9, 8, 7], "b": [6, 5, 4]})
    elif kind == "array":
        (root / "masks").mkdir()
        np.save(root / "masks/a.npy", HALF)
        source = MaskFiles(masks="masks/{stem}.npy")
    elif kind == "matlab":
        (root / "masks").mkdir()
        scipy.io.savemat(root / "masks/a.mat", {"map": HALF})
        source = MaskFiles(masks="masks/{stem}.mat")
    elif kind == "each":
        save(root / "masks/a/1.png", 255 * (HALF > 0))
        source = InstanceFiles(objects="masks/{stem}/*.png")
    else:
        save(root / "masks/a.png", HALF if kind in ("numbers", "instances") else 255 * (HALF > 0))
        named = {"class_masks": ClassMasks(masks={"a": "masks/{stem}.png"}), "instances": InstanceFiles()}
        source = named.get(kind, source)
    index = load(source, root, *classes)
    assert index.sizes.tolist() == [[4, 8]] * 2
    assert not len(index.faults)
    assert source.read(root, index, 0, "semantic").tolist() == wanted.astype(int).tolist()
    noted = [(row, what) for row, (kind, what) in zip(index.noted, index.notes, strict=True) if kind == OTHER_SIZE]
    assert noted == [
        (0, f"{'1' if kind == 'each' else 'a'}{Path(source.masks).suffix}: 4 x 2 pixels; the image has 8 x 4")
    ]
    if kind == "instances":
        assert index.boxes.tolist() == [[2, 0, 6, 4], [4, 0, 8, 4]]


def nuclei(root: Path) -> Path:
    """CoNSeP: a number for each nucleus, and the class of each pixel."""
    numbers, kinds = np.zeros((30, 40)), np.zeros((30, 40))
    for number, (row, kind) in {1: (2, 2), 4: (9, 3), 7: (20, 2)}.items():
        numbers[row : row + 5, 4:10] = number
        kinds[row : row + 5, 4:10] = kind
    kinds[2, 4] = 1  # a pixel of another class does not decide
    for split in ("Train", "Test"):
        for k in range(3):
            save(root / split / f"Images/{split.lower()}_{k}.png", np.zeros((30, 40, 3)))
            save(root / split / f"Overlay/{split.lower()}_{k}.png", np.zeros((30, 40, 3)))
            (root / split / "Labels").mkdir(exist_ok=True)
            content = {"inst_map": numbers, "type_map": kinds, "inst_type": np.array([[2.0], [3], [2]])}
            scipy.io.savemat(
                root / split / f"Labels/{split.lower()}_{k}.mat", content | {"inst_centroid": np.zeros((3, 2))}
            )
    return root


PLACES = {"images": "{split}/Images", "objects": "{split}/Labels/{stem}.mat", "variable": "inst_map"}


def test_objects_of_matlab_files_have_classes(tmp_path: Path) -> None:
    root = nuclei(tmp_path / "set")
    source = InstanceFiles(**PLACES, class_variable="type_map")
    index = load(source, root, *NUCLEI)
    assert source.splits(root) == ["Test", "Train"]
    assert index.ids.tolist() == [f"{s}/Images/{s.lower()}_{k}.png" for s in ("Test", "Train") for k in range(3)]
    assert index.objects(0).boxes.tolist() == [[4, 2, 10, 7], [4, 9, 10, 14], [4, 20, 10, 25]]
    assert index.objects(0).labels.tolist() == [1, 2, 1]
    semantic = source.read(root, index, 0, "semantic")
    assert semantic[[2, 9, 20, 29], 5].tolist() == [2, 3, 2, 0]
    alone = load(InstanceFiles(**PLACES), root, "nucleus")
    assert alone.labels.tolist() == [0] * 18, "one class"
    assert "found an object of class 3 by its value; there are 2 (dataset.source.class_variable" in load(
        source, root, "other", "inflammatory"
    ).faults[0]  # fmt: skip
    (guess,) = guesses(root)
    assert guess.choice == "instances"
    for key, value in PLACES.items():
        assert f"dataset.source.{key}={quoted(value)}" in guess.keys
    assert "class_variable=type_map" in guess.note
    maps = MaskFiles(images="{split}/Images", masks="{split}/Labels/{stem}.mat", variable="type_map")
    assert maps.read(root, load(maps, root, *NUCLEI), 0, "semantic")[2, 4:6].tolist() == [1, 2]


def test_what_is_wrong_with_matlab_files_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, size = tmp_path / "a.mat", (4, 8)
    scipy.io.savemat(path, {"x": WHOLE, "y": WHOLE, "flat": WHOLE[None], "half": WHOLE / 2})
    for variable, said in (
        (
            None,
            r"found several variables: flat, half, x, y; dataset\.source\.variable \(masks, instances\) names the map",
        ),
        ("z", r"found no variable 'z': flat, half, x, y"),
        ("flat", r"found 'flat', uint8 of shape \[1, 4, 8\]; must be numbers \[height, width\]"),
        ("half", "found values that are no whole numbers"),
    ):
        with pytest.raises(DataError, match=rf"a\.mat: {said}"):
            read_map(path, size, variable=variable)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"a\.mat: damaged or no MATLAB file"):
        read_map(path, size)
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(400))
    with pytest.raises(DataError, match=r"a\.mat: found MATLAB 7\.3, which is HDF5"):
        read_map(path, size)
    with pytest.raises(ConfigError, match=r"dataset\.source\.class_variable: found it beside divisor=10"):
        InstanceFiles(**PLACES, class_variable="x", divisor=10)
    with pytest.raises(ConfigError, match=r"class_variable: found it with objects=masks/\{stem\}\.png; is for \*\.mat"):
        InstanceFiles(class_variable="x")
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(
        ConfigError, match=r"a\.mat: needs SciPy, which is not installed; pip install 'vjo-train\[mat\]'"
    ):
        read_map(path, size)


@pytest.mark.slow
def test_lungs_are_found_beside_the_pictures_of_each_class(command: Callable[..., Answer], tmp_path: Path) -> None:
    """COVID-19 Radiography: `COVID/images/COVID-1.png` and `COVID/masks/COVID-1.png`, and a folder for each finding."""
    root = tmp_path / "set"
    lungs = np.zeros((48, 48))
    lungs[8:40, 8:40] = 255
    for finding in ("COVID", "Normal"):
        for k in range(6):
            save(root / f"{finding}/images/{finding}-{k}.png", np.full((56, 56), 40 * k))
            save(root / f"{finding}/masks/{finding}-{k}.png", np.stack([lungs] * 3, axis=-1))
    guess = guesses(root)[0]
    keys = [
        "dataset.source.images=.",
        "dataset.source.masks=\"'{stem}/../../masks/{name}.png'\"",
        "'dataset.classes=[NAME,..]'",
    ]
    assert list(guess.keys) == keys
    chosen = [word.replace("[NAME,..]", "[lung]") for word in shlex.split(" ".join(keys))]
    small = ("dataset.size=64", "dataset.batch_size=2", "dataset.workers=0", "trainer.max_steps=2", *BACKBONE)
    folder = ("heads=[semantic]", "dataset.cache=ram", "hydra.run.dir=run")
    status, out, err = command("vjo-train", "dataset=masks", f"dataset.root={root}", *chosen, *small, *folder)
    assert status == 0, err
    assert "found and mended: map of another size (12)" in out
