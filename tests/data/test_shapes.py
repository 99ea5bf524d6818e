from __future__ import annotations

import hashlib
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vjo_train.data.shape_painting import CLASSES
from vjo_train.data.shapes import Shapes
from vjo_train.data.sources.opened import load_index
from vjo_train.data.sources.voc.source import VOC
from vjo_train.errors import ConfigError
from vjo_train.geometry import to_devkit


def digest(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return hashlib.sha256(b"".join(path.name.encode() + path.read_bytes() for path in files)).hexdigest()


def write(folder: Path) -> None:
    Shapes(train=5, val=1, test=1, image_size=48).write(folder)


def test_the_same_parameters_draw_the_same_bytes(tmp_path):
    write(tmp_path / "a")
    write(tmp_path / "b")
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    Shapes(train=5, val=1, test=1, image_size=48, seed=1).write(tmp_path / "c")
    assert digest(tmp_path / "a") != digest(tmp_path / "c")


def test_a_larger_set_contains_the_smaller_one(tmp_path):
    write(tmp_path / "a")
    Shapes(train=6, val=2, test=2, image_size=48).write(tmp_path / "b")
    for path in (tmp_path / "a" / "JPEGImages").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / "JPEGImages" / path.name).read_bytes()


def test_two_processes_at_once_leave_one_whole_set(tmp_path):
    with ProcessPoolExecutor(3) as pool:
        list(pool.map(write, [tmp_path / "set"] * 3))
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert len(list((tmp_path / "set/JPEGImages").iterdir())) == 7


def test_a_finished_set_is_reused_and_another_is_refused(tmp_path):
    shapes = Shapes(train=5, val=1, test=1, image_size=48)
    assert shapes.folder(tmp_path) != Shapes(train=5, val=1, test=1, image_size=64).folder(tmp_path)
    shapes.write(tmp_path / "a")
    stamp = (tmp_path / "a/Annotations").stat().st_mtime_ns
    shapes.write(tmp_path / "a")
    assert (tmp_path / "a/Annotations").stat().st_mtime_ns == stamp
    with pytest.raises(ConfigError, match=r"dataset\.root: .* was drawn with .*'train': 5.* not .*'train': 6"):
        Shapes(train=6, val=1, test=1, image_size=48).write(tmp_path / "a")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file").touch()
    with pytest.raises(ConfigError, match="is no drawn data set"):
        shapes.write(tmp_path / "other")


def test_it_reads_like_any_devkit(shapes_root, tmp_path):
    source = VOC()
    found = load_index(source, shapes_root, CLASSES, tmp_path)
    assert source.splits(shapes_root) == ["test", "train", "trainval", "val"]
    splits = {name: set(source.split(shapes_root, name)) for name in source.splits(shapes_root)}
    assert [len(splits[name]) for name in ("train", "val", "test")] == [24, 6, 10]
    assert splits["trainval"] == splits["train"] | splits["val"]
    assert not splits["train"] & splits["val"]
    masked = found.labelled["masks"]
    assert masked.sum() == found.labelled["semantic"].sum() == 20
    for row in np.flatnonzero(masked):
        annotation, name = found.objects(int(row)), found.ids[row]
        objects = np.asarray(Image.open(shapes_root / "SegmentationObject" / f"{name}.png"))
        classes = np.asarray(Image.open(shapes_root / "SegmentationClass" / f"{name}.png"))
        lookup = np.array([0, *(annotation.labels + 1)], np.uint8)
        inside = objects != 255
        assert (classes[inside] == lookup[objects[inside]]).all()
        assert (classes[~inside] == 255).all()
        for number, box in enumerate(to_devkit(annotation.boxes), start=1):
            rows, columns = np.nonzero(objects == number)
            if len(rows):
                assert columns.min() + 1 >= box[0]
                assert columns.max() + 1 <= box[2]
                assert rows.min() + 1 >= box[1]
                assert rows.max() + 1 <= box[3]


def test_what_a_set_contains(tmp_path):
    Shapes(train=200, val=1, test=1, image_size=48, masked=0, hardness=1).write(tmp_path / "set")
    found = load_index(VOC(), tmp_path / "set", CLASSES, tmp_path)
    assert np.bincount(found.labels, minlength=len(CLASSES)).min() > 40
    assert set(np.diff(found.offsets)) == {0, 1, 2, 3, 4}
    assert 0 < found.difficult.mean() < 0.2
    sides = (found.boxes[:, 2:] - found.boxes[:, :2]).max(axis=1)
    assert np.quantile(sides, 0.95) > 2 * np.quantile(sides, 0.05)
    assert not found.labelled["masks"].any()
