"""VOC's XML files beside their pictures, as Roboflow exports them: the same objects as in the devkit's layout."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.conftest import Devkit
from vjo_train.data.sources.opened import load_index
from vjo_train.data.sources.voc.beside import Beside
from vjo_train.data.sources.voc.source import VOC
from vjo_train.errors import DataError

CLASSES = ["cat", "dog"]


@pytest.fixture
def devkit(tmp_path: Path) -> Devkit:
    kit = Devkit(tmp_path / "kit")
    for k in range(4):
        objects = [("cat", (3, 3, 20, 20), 0), ("dog", (10, 10, 300, 25), 1)][: k % 3]  # a box beyond the picture
        kit.image(f"im{k}", objects=objects)
    return kit


def exported(devkit: Devkit, root: Path) -> Path:
    """The same as Roboflow has it, one picture in each split but training."""
    for k, split in enumerate(("train", "train", "valid", "test")):
        (root / split).mkdir(parents=True, exist_ok=True)
        shutil.copy(devkit.root / f"JPEGImages/im{k}.jpg", root / split)
        shutil.copy(devkit.root / f"Annotations/im{k}.xml", root / split)
    (root / "train/README.roboflow.txt").write_text("who made it")
    return root


def test_objects_are_those_of_the_devkits_layout(devkit: Devkit, tmp_path: Path) -> None:
    root, source = exported(devkit, tmp_path / "export"), Beside()
    assert source.class_names(source.root(root)) == CLASSES
    assert source.splits(root) == ["test", "train", "valid"]
    assert source.split(root, "val") == ["valid/im2"]
    assert source.split(root, "train") == ["train/im0", "train/im1"]
    wanted = load_index(VOC(), devkit.root, CLASSES, tmp_path / "cache")
    found = load_index(source, root, CLASSES, tmp_path / "cache")
    for row, name in enumerate(found.ids.tolist()):
        other = int(wanted.rows([name.partition("/")[2]])[0])
        one, same = found.objects(row), wanted.objects(other)
        np.testing.assert_array_equal(one.boxes, same.boxes)
        assert one.labels.tolist() == same.labels.tolist()
        assert one.difficult.tolist() == same.difficult.tolist()
        assert found.image_bytes[row] == wanted.image_bytes[other] > 0
        assert found.image(root, row).is_file()
    assert "clipped box" in found.notes[:, 0]


def test_pictures_without_xml_and_folders_without_either(devkit: Devkit, tmp_path: Path) -> None:
    root, source = exported(devkit, tmp_path / "export"), Beside()
    Image.new("RGB", (40, 30)).save(root / "train/bare.png")
    index = load_index(source, root, CLASSES, tmp_path / "cache")
    assert not index.labelled["boxes"][int(index.rows(["train/bare"])[0])]
    assert index.labelled["boxes"].sum() == 4
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no XML file beside a picture"):
        source.root(tmp_path / "empty")
    with pytest.raises(DataError, match=r"neither JPEGImages/ .* dataset=voc_beside dataset\.root="):
        VOC().root(root)


def test_one_folder_is_shared_out(devkit: Devkit, tmp_path: Path) -> None:
    root = tmp_path / "flat"
    root.mkdir()
    for file in (*devkit.root.glob("JPEGImages/*"), *devkit.root.glob("Annotations/*")):
        shutil.copy(file, root)
    source = Beside()
    found = [source.split(root, name) for name in ("train", "val", "test") if source.has_split(root, name)]
    assert len({image for part in found for image in part}) == sum(map(len, found))
    assert source.root(root) == root
