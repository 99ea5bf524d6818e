from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from vjo_train.data.index import Index, table
from vjo_train.data.objects import Objects
from vjo_train.data.sources.opened import load_index
from vjo_train.data.sources.voc.source import VOC
from vjo_train.errors import DataError

CLASSES = ("cat", "dog")


def load(root: Path, classes: Sequence[str], cache: Path) -> Index:
    return load_index(VOC(), root, classes, cache)


@pytest.fixture
def filled(devkit):
    devkit.image("b", objects=[("dog", (1, 1, 5, 5), 0), ("cat", (2, 2, 9, 9), 1)])
    devkit.image("a", width=20)
    devkit.image("c", objects=[("cat", (4, 4, 9, 9), 0)])
    devkit.mask("SegmentationClass", "b", np.zeros((30, 40)))
    devkit.split("train", ["b", "a"])
    return devkit


def test_arrays(filled, tmp_path):
    found = load(filled.root, CLASSES, tmp_path / "cache")
    assert found.ids.tolist() == ["a", "b", "c"]
    assert found.sizes.tolist() == [[30, 20], [30, 40], [30, 40]]
    assert found.offsets.tolist() == [0, 0, 2, 3]
    assert found.images.tolist() == ["JPEGImages/a.jpg", "JPEGImages/b.jpg", "JPEGImages/c.jpg"]
    assert found.labelled["semantic"].tolist() == [False, True, False]
    assert found.files["semantic"].tolist() == ["", "SegmentationClass/b.png", ""]
    assert not found.labelled["masks"].any()
    assert found.labelled["boxes"].all()
    one = found.objects(1)
    assert one.labels.tolist() == [1, 0]
    assert one.difficult.tolist() == [False, True]
    assert found.objects(0).boxes.shape == (0, 4)
    assert found.rows(["c", "zz", "a", ""]).tolist() == [2, -1, 0, -1]


def _touch(filled):
    filled.image("b", objects=[("cat", (1, 1, 5, 5), 0)])


def _same_size_later(filled):
    path = filled.root / "Annotations/c.xml"
    before = path.stat()
    path.write_text(path.read_text().replace("<xmin>4<", "<xmin>3<"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))


def _add(filled):
    filled.image("d")


def _remove(filled):
    (filled.root / "Annotations/c.xml").unlink()


def _new_mask(filled):
    filled.mask("SegmentationObject", "b", np.zeros((30, 40)))


@pytest.mark.parametrize("change", [_touch, _same_size_later, _add, _remove, _new_mask])
def test_a_changed_file_is_noticed(filled, tmp_path, change):
    cache = tmp_path / "cache"
    before = load(filled.root, CLASSES, cache)
    change(filled)
    after = load(filled.root, CLASSES, cache)
    every = np.arange(len(before)), np.arange(len(after))
    assert before.fingerprint(every[0]) != after.fingerprint(every[1])
    assert len(list(cache.glob("*.npz"))) == 1


def test_an_unchanged_set_comes_from_the_cache(filled, tmp_path):
    cache = tmp_path / "cache"
    before = load(filled.root, CLASSES, cache)
    path = filled.root / "Annotations/c.xml"
    stat = path.stat()
    path.write_bytes(b"?" * stat.st_size)  # would not parse, but looks unchanged
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    after = load(filled.root, CLASSES, cache)
    assert before.fingerprint(np.arange(3)) == after.fingerprint(np.arange(3))
    other = load(filled.root, ("cat", "dog", "cow"), cache)  # other classes: another index
    assert other.faulty.tolist() == [2]
    assert "c.xml" in str(other.faults[0])


def test_a_damaged_cache_file_is_made_again(filled, tmp_path, caplog):
    cache = tmp_path / "cache"
    before = load(filled.root, CLASSES, cache)
    (path,) = cache.glob("*.npz")
    path.write_bytes(path.read_bytes()[:100])
    after = load(filled.root, CLASSES, cache)
    assert "unreadable" in caplog.text
    assert before.fingerprint(np.arange(3)) == after.fingerprint(np.arange(3))


def test_the_fingerprint_is_of_the_split_and_not_of_the_place(filled, tmp_path):
    found = load(filled.root, CLASSES, tmp_path / "cache")
    filled.root.rename(tmp_path / "moved")
    moved = load(tmp_path / "moved", CLASSES, tmp_path / "cache")
    assert found.fingerprint(np.array([1, 0])) == moved.fingerprint(np.array([1, 0]))
    assert found.fingerprint(np.array([1, 0])) != moved.fingerprint(np.array([1, 2]))


def test_no_annotations(devkit, tmp_path):
    with pytest.raises(DataError, match=r"Annotations: found no \*\.xml"):
        load(devkit.root, CLASSES, tmp_path / "cache")


def kept(by_image: dict, more: dict) -> Index:
    return table(
        classes=("cat",),
        ids=["a", "b"],
        images=["a.png", "b.png"],
        image_bytes=[1, 2],
        sizes=[(3, 4), (5, 6)],
        objects=[Objects.none(), Objects.none()],
        labelled={"classes": [True, True]},
        by_image=by_image,
        more=more,
    )


def test_what_is_kept_of_every_image_counts_and_nothing_else_of_the_same_length():
    every = np.arange(2)
    plain = kept({"flags": np.array([0, 1])}, {"table": np.array([5, 6])}).fingerprint(every)
    assert kept({"flags": np.array([0, 1])}, {"table": np.array([7, 8])}).fingerprint(every) == plain
    assert kept({"flags": np.array([1, 1])}, {"table": np.array([5, 6])}).fingerprint(every) != plain
    with pytest.raises(ValueError, match="there are 2 ids"):
        kept({"flags": np.array([0, 1, 2])}, {})
