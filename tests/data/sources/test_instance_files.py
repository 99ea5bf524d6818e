"""Objects by their pixels: maps of numbers, a file for each, and what becomes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from vjo_train.data.labels.masks import Masks
from vjo_train.data.placement import Unmoved
from vjo_train.data.sources.instance_files import InstanceFiles
from vjo_train.data.sources.opened import load_index
from vjo_train.errors import ConfigError, DataError

SIZE = (30, 40)


def save(path: Path, pixels: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


def grid() -> np.ndarray[Any, Any]:
    """300 objects of two by two pixels, numbered from 1 on."""
    numbers = np.arange(1, 301).reshape(15, 20)
    return numbers.repeat(2, 0).repeat(2, 1)


def read(source: InstanceFiles, root: Path, *classes: str) -> tuple[Any, dict[str, int]]:
    index = load_index(source, root, list(classes or ["nucleus"]), root.parent / "cache")
    return index, {name: row for row, name in enumerate(index.ids.tolist())}


def stacks(source: InstanceFiles, root: Path, index: Any, row: int) -> torch.Tensor:
    raw = source.read(root, index, row, "masks")
    placed: torch.Tensor = Masks().place(raw, Unmoved(SIZE, len(index.objects(row))))
    return placed


def test_numbers_are_not_read_from_a_jpeg(tmp_path: Path) -> None:
    """Its noise would be objects; a file of one object each may be one."""
    root = tmp_path / "set"
    square = np.zeros(SIZE, np.uint8)
    square[8:24, 8:24] = 255
    save(root / "images/a.png", np.zeros((*SIZE, 3), np.uint8))
    save(root / "masks/a.jpg", square)
    save(root / "masks/a/1.jpg", square)
    numbers, each = InstanceFiles(objects="masks/{stem}.jpg"), InstanceFiles(objects="masks/{stem}/*.jpg")
    assert "is a JPEG, which does not keep values as they are" in read(numbers, root)[0].faults[0]
    assert read(each, root)[0].boxes.tolist() == [[8, 8, 24, 24]]


def test_a_map_of_16_bits_holds_more_objects_than_a_byte(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for name in ("a", "b", "c"):
        save(root / f"images/{name}.png", np.zeros((*SIZE, 3), np.uint8))
    save(root / "masks/a.png", grid().astype(np.uint16))
    save(root / "masks/b.png", np.zeros(SIZE, np.uint8))
    source = InstanceFiles()
    index, rows = read(source, source.root(root))
    assert index.labelled["masks"].tolist() == index.labelled["boxes"].tolist() == [True, True, False]
    objects = index.objects(rows["images/a.png"])
    assert len(objects) == 300
    assert objects.boxes[21].tolist() == [2, 2, 4, 4]
    masks = stacks(source, root, index, rows["images/a.png"])
    assert torch.equal(masks, torch.from_numpy(np.arange(1, 301)[:, None, None] == grid()))
    assert source.read(root, index, rows["images/a.png"], "semantic").unique().tolist() == [1]
    assert not len(index.objects(rows["images/b.png"])), "nothing is there"
    coded = grid() + 70_000
    save(root / "masks/a.png", np.stack([coded >> 16, coded >> 8 & 255, coded & 255], 2).astype(np.uint8))  # cv2: BGR
    index, rows = read(source, root)
    assert torch.equal(stacks(source, root, index, rows["images/a.png"]), masks)


def test_a_file_for_each_object_beside_its_picture(tmp_path: Path) -> None:
    """As the nuclei of the Data Science Bowl 2018 lie; objects may overlap."""
    root = tmp_path / "set"
    first, second = np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.uint8)
    first[2:10, 3:20], second[5:12, 10:30] = 255, 255
    save(root / "stage1/x/images/x.png", np.zeros((*SIZE, 3), np.uint8))
    save(root / "stage1/x/masks/m1.png", first)
    save(root / "stage1/x/masks/m2.png", second)
    save(root / "stage1/y/images/y.png", np.zeros((*SIZE, 3), np.uint8))
    (root / "stage1/y/masks").mkdir()
    source = InstanceFiles(images="stage1", objects="stage1/{stem}/../../masks/*.png")
    index, rows = read(source, source.root(root))
    assert list(rows) == ["stage1/x/images/x.png", "stage1/y/images/y.png"]
    assert index.objects(0).boxes.tolist() == [[3, 2, 20, 10], [10, 5, 30, 12]]
    assert torch.equal(stacks(source, root, index, 0), torch.from_numpy(np.stack([first, second]) > 0))
    assert index.labelled["boxes"].tolist() == [True, True]
    assert not len(index.objects(1))
    assert stacks(source, root, index, 1).shape == (0, *SIZE)
    before = index.fingerprint(np.arange(2))
    first[3, 4] = 0
    save(root / "stage1/x/masks/m1.png", first)
    assert read(source, root)[0].fingerprint(np.arange(2)) != before


def test_values_may_name_classes(tmp_path: Path) -> None:
    root = tmp_path / "set"
    values = np.zeros(SIZE, np.uint16)
    values[:5, :5], values[:5, 10:20], values[20:, :8], values[29] = 1000, 1001, 2000, 65535
    save(root / "images/a.png", np.zeros((*SIZE, 3), np.uint8))
    save(root / "masks/a.png", values)
    source = InstanceFiles(divisor=1000, ignore=[65535])
    index, _ = read(source, root, "cell", "nucleus")
    assert index.objects(0).labels.tolist() == [0, 0, 1]
    semantic = source.read(root, index, 0, "semantic")
    assert semantic[0, 0] == semantic[0, 12] == 1
    assert semantic[21, 0] == 2
    assert semantic[29, 0] == 255, "what is ignored is no background"
    assert source.read(root, index, 0, "masks")[29, 0] == -1
    assert "found an object of class 2 by its value; there are 1" in read(source, root, "cell")[0].faults[0]
    with pytest.raises(DataError, match=r"dataset\.classes: found 2; without dataset\.source\.divisor"):
        read(InstanceFiles(), root, "cell", "nucleus")


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    root = tmp_path / "set"
    save(root / "images/a.png", np.zeros((*SIZE, 3), np.uint8))
    save(root / "masks/a.png", np.zeros((5, 5), np.uint8))
    assert "a.png: found a mask of 5 x 5 pixels" in read(InstanceFiles(), root)[0].faults[0]
    with pytest.raises(ConfigError, match=r"dataset\.source\.objects: found 'masks/a\.png'; must hold \{stem\}"):
        InstanceFiles(objects="masks/a.png")
    with pytest.raises(ConfigError, match=r"dataset\.source\.divisor: is for maps"):
        InstanceFiles(objects="masks/{stem}/*.png", divisor=10)
