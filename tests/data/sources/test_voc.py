"""Data sets in the devkit's layout as labelling tools write them."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.data.conftest import Devkit, xml
from tests.data.test_datamodule import NEEDS, make
from vjo_train.data import faults
from vjo_train.data.index import Index
from vjo_train.data.labels.masks import Masks
from vjo_train.data.placement import Unmoved
from vjo_train.data.sources.opened import load_index
from vjo_train.data.sources.voc.source import VOC
from vjo_train.errors import DataError


def index(devkit: Devkit, **keys) -> Index:
    return VOC(**keys).read_index(devkit.root, ["cat", "dog"])


def boxes(devkit: Devkit, *corners: tuple[float, float, float, float]) -> list[list[float]]:
    """As they are read in a picture of 40 x 30 pixels."""
    devkit.image("a", objects=[("cat", box, 0) for box in corners])
    return index(devkit).boxes.tolist()


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ([(1, 1, 40, 30), (2.5, 3.25, 9, 9)], [[0, 0, 40, 30], [1.5, 2.25, 9, 9]]),  # the devkit's own
        ([(0, 0, 39, 29), (4, 5, 9, 9)], [[0, 0, 40, 30], [4, 5, 10, 10]]),  # from 0, the last pixel inside
        ([(0, 0, 40, 30), (4, 5, 9, 9)], [[0, 0, 40, 30], [4, 5, 9, 9]]),  # from 0, to the edge behind it
        ([(0.6, 5, 40.3, 9)], [[np.float32(0.6), 5, 40, 9]]),
        ([(50, 20, 10, 2)], [[9, 1, 40, 20]]),  # corners swapped, and one beyond the picture
        ([(3, 3, 41, 31)], [[2, 2, 40, 30]]),
        ([(0, 3, 9, 9), (1, 2, 9, 9), (2, 1, 9, 9)], [[0, 2, 9, 9], [0, 1, 9, 9], [1, 0, 9, 9]]),  # one stray box
        ([(45, 3, 60, 9), (2, 2, 3, 3)], [[1, 1, 3, 3]]),  # all of it outside
    ],
)
def test_boxes_are_read_as_they_are_meant(devkit, written, read):
    assert boxes(devkit, *written) == read


def test_how_pixels_are_counted_is_decided_once_for_the_whole_set(devkit):
    devkit.image("a", objects=[("cat", (0, 5, 9, 9), 0)])
    devkit.image("b", objects=[("cat", (5, 5, 39, 9), 0)])
    assert index(devkit).boxes.tolist() == [[0, 5, 10, 10], [5, 5, 40, 10]]


def test_what_was_changed_is_said_once_and_listed(devkit, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    devkit.image("a", objects=[("cat", (9, 9, 3, 3), "Unspecified"), ("cat", (1, 1, 44, 9), 1)])
    devkit.image("b", objects=[("dog", (50, 1, 60, 9), 0)])
    for _ in range(2):  # the second time from the cache
        caplog.clear()
        found = load_index(VOC(), devkit.root, ["cat", "dog"], tmp_path / "cache")
        (line,) = [one.getMessage() for one in caplog.records if "mended" in one.getMessage()]
        assert "swapped corners (1), clipped box (1), dropped box (1), flag read as 0 (1)" in line
    assert found.difficult.tolist() == [False, True]
    listed = [(fault.kind, fault.where, fault.fatal) for fault in faults.mended_annotations(found)]
    assert ("dropped box", "b", False) in listed
    assert len(listed) == 4


def test_strict_takes_the_devkits_own_boxes_alone(devkit):
    devkit.image("a", objects=[("cat", (0, 1, 4, 4), 0)])
    devkit.image("b", objects=[("cat", (1, 1, 4, 4), 0)])
    found = index(devkit, boxes="strict")
    assert found.faulty.tolist() == [0]
    assert "leaves the image" in found.faults[0]
    assert (found.noted < 0).all(), "nothing is mended"


@pytest.mark.parametrize(
    "size", ["", "<size><width>0</width><height>0</height></size>", "<size><width>4.5</width></size>"]
)
def test_a_missing_size_is_that_of_the_picture(devkit, size):
    devkit.image("a", 40, 30)
    path = devkit.root / "Annotations/a.xml"
    path.write_text(f"<annotation>{size}</annotation>")
    assert index(devkit).sizes.tolist() == [[30, 40]]
    assert index(devkit, boxes="strict").faulty.tolist() == [0]
    (devkit.root / "JPEGImages/a.jpg").unlink()
    assert "a.jpg: the file is missing" in index(devkit).faults[0]


@pytest.mark.parametrize("name", ["a.png", "a.JPG", "a.jpeg", "a.webp", "a.bmp", "a.tif", "a.TIFF"])
def test_a_picture_has_the_stem_whatever_its_extension(devkit, tmp_path, name):
    for stem in "abcd":
        path = devkit.image(stem, objects=[("cat", (1, 1, 9, 9), 0)])
    picture = Image.open(devkit.root / "JPEGImages/a.jpg").copy()
    (devkit.root / "JPEGImages/a.jpg").unlink()
    picture.save(path.with_name(name))
    devkit.split("train", ["a", "b"])
    devkit.split("test", ["c"])
    data = make(devkit.root, tmp_path / "cache", {"x": NEEDS["classification"]}, val_split=None, classes=["cat"])
    data.setup("fit")
    (batch,) = data.eval_dataloader(data.train_rows)
    assert batch.ids == ["a", "b"]


def test_two_pictures_with_one_stem_are_named(devkit):
    devkit.image("a")
    Image.new("RGB", (40, 30)).save(devkit.root / "JPEGImages/a.PNG")
    found = index(devkit)
    assert found.faulty.tolist() == [0]
    assert "found a.PNG and a.jpg for 'a'; must be one" in found.faults[0]


def test_a_picture_with_a_class_mask_alone_is_labelled_for_that_alone(devkit, tmp_path):
    devkit.image("empty")
    devkit.image("masked", 50, 20)
    (devkit.root / "Annotations/masked.xml").unlink()
    for folder in ("SegmentationClass", "SegmentationObject"):
        devkit.mask(folder, "masked", np.zeros((20, 50)))
        devkit.mask(folder, "nowhere", np.zeros((20, 50)))  # a mask of no picture
    found = index(devkit)
    assert found.ids.tolist() == ["empty", "masked"]
    assert found.sizes.tolist() == [[30, 40], [20, 50]]
    labelled = {kind: flags.tolist() for kind, flags in found.labelled.items()}
    assert labelled["semantic"] == [False, True]
    assert labelled["classes"] == labelled["boxes"] == [True, False]
    assert labelled["masks"] == [False, False]
    devkit.split("train", ["empty", "masked"])
    data = make(devkit.root, tmp_path / "cache", val_split=None, test_split="train")
    described = data.describe(data.train_rows)
    assert described["labelled"] == {"classes": 1, "boxes": 1, "semantic": 1, "masks": 0}
    assert described["without_objects"] == 1, "what is not annotated is not empty"


def test_a_set_of_masks_alone_can_be_read(devkit):
    devkit.image("a")
    (devkit.root / "Annotations/a.xml").unlink()
    devkit.mask("SegmentationClass", "a", np.ones((30, 40)))
    found = index(devkit)
    assert found.labelled["semantic"].tolist() == [True]
    assert VOC().read(devkit.root, found, 0, "semantic").unique().tolist() == [1]


def test_wrong_classes_are_one_line_that_names_all(devkit, tmp_path):
    for number in range(30):
        devkit.image(f"{number:02d}", objects=[(name, (1, 1, 9, 9), 0) for name in ("WBC", "RBC", "RBC")])
    devkit.image("x", objects=[("Platelets", (1, 1, 9, 9), 0)])
    devkit.split("train", [f"{number:02d}" for number in range(30)] + ["x"])
    data = make(devkit.root, tmp_path, classes=["wbc", "rbc"], val_split=None, test_split="train")
    with pytest.raises(DataError) as error:
        data.setup("fit")
    head, line, *_ = str(error.value).splitlines()
    assert head == "31 of the 31 images in use are faulty:"
    assert (
        "found in the files WBC (30), RBC (60), Platelets (1); did you mean dataset.classes=[WBC,RBC,Platelets]?"
        in line
    )
    assert line.endswith("(and 30 more like this)")


def test_a_misspelt_class_in_a_file_is_told_from_that(devkit):
    devkit.image("a", objects=[("dgo", (1, 1, 9, 9), 0)])
    assert "object 1: unknown class 'dgo' (did you mean 'dog'?); allowed are cat, dog" in index(devkit).faults[0]


def test_without_lists_the_images_are_shared_out(devkit):
    names = [f"im{number}" for number in range(20)]
    for name in names:
        devkit.image(name)
    (devkit.root / "ImageSets/Main").rmdir()
    source = VOC()
    train, val, test, both = (source.split(devkit.root, split) for split in ("train", "val", "test", "trainval"))
    assert (len(train), len(val), len(test)) == (16, 2, 2)
    assert sorted([*train, *val, *test]) == sorted(names)
    assert both == sorted([*train, *val])
    assert source.split(devkit.root, "train") == train
    (note,) = index(devkit).notes[:, 1].tolist()
    assert "no list for train, val, test, trainval" in note
    assert "train (16), val (2), test (2); trainval is train and val" in note
    with pytest.raises(DataError, match=r"no split 'trian' .*found test, train, trainval, val"):
        source.split(devkit.root, "trian")


def test_lists_are_kept_and_the_rest_is_shared_out(devkit):
    names = [f"im{number}" for number in range(10)]
    for name in names:
        devkit.image(name)
    devkit.split("train", names[:6])
    source = VOC()
    assert source.split(devkit.root, "train") == names[:6]
    val, test = source.split(devkit.root, "val"), source.split(devkit.root, "test")
    assert sorted([*val, *test]) == names[6:]
    devkit.split("val", names[6:])
    assert source.split(devkit.root, "trainval") == names
    with pytest.raises(DataError, match="no split 'test'"):
        source.split(devkit.root, "test")
    devkit.split("trainval", names)
    assert source.splits(devkit.root) == ["train", "trainval", "val"]


def test_a_run_trains_validates_and_tests_without_lists(devkit, tmp_path):
    for number in range(12):
        devkit.image(f"im{number}", objects=[("cat", (1, 1, 9, 9), 0)])
    keys = {"classes": ["cat"], "split": "trainval", "val_split": None, "val_fraction": 0.1}
    data = make(devkit.root, tmp_path, {"x": NEEDS["classification"]}, **keys)
    data.setup("fit")
    parts = [data.train_rows, data.rows("val"), data.rows("test")]
    assert sorted(np.concatenate(parts).tolist()) == list(range(12))
    assert min(map(len, parts)) >= 1


def test_a_dropped_box_does_not_shift_the_object_mask(devkit):
    corners = [(1, 1, 4, 4), (90, 1, 95, 9), (11, 11, 14, 14)]
    devkit.image("a", objects=[("cat", box, 0) for box in corners])
    indices = np.full((30, 40), 255)
    indices[0:4, 0:4], indices[20:22, 20:22], indices[10:14, 10:14] = 1, 2, 3
    devkit.mask("SegmentationObject", "a", indices)
    found = index(devkit)
    raw = VOC().read(devkit.root, found, 0, "masks")
    masks = Masks().place(raw, Unmoved((30, 40), 2))
    assert masks.sum((1, 2)).tolist() == [16, 16]
    assert masks[1, 10:14, 10:14].all()


def test_an_object_mask_is_judged_anew_where_a_dropped_box_came_in(devkit, tmp_path):
    devkit.mask("SegmentationObject", "a", np.full((30, 40), 2))
    devkit.split("train", ["a"])
    keys = {"val_split": None, "test_split": "train", "classes": ["cat"], "needs": {"x": NEEDS["instance"]}}
    one = ("cat", (1, 1, 4, 4), 0)
    devkit.image("a", objects=[one])
    with pytest.raises(DataError, match="found the index 2"):
        make(devkit.root, tmp_path / "cache", **keys).setup("test")
    devkit.image("a", objects=[("cat", (90, 1, 95, 9), 0), one])
    make(devkit.root, tmp_path / "cache", **keys).setup("test")


@pytest.mark.parametrize("cache", ["none", "ram"])
def test_more_than_254_objects_have_a_mask_of_16_bits(devkit, tmp_path, cache):
    count = 313
    places = [(number % 39, number // 39) for number in range(count)]
    devkit.image("a", objects=[("cat", (x + 1, y + 1, x + 1, y + 1), 0) for x, y in places])
    devkit.image("b", objects=[("cat", (1, 1, 2, 2), 0)])
    indices = np.zeros((30, 40), np.uint16)
    for number, (x, y) in enumerate(places, 1):
        indices[y, x] = number
    indices[29] = 65_535
    Image.fromarray(indices).save(devkit.root / "SegmentationObject/a.png")
    devkit.mask("SegmentationObject", "b", np.full((30, 40), 255))
    devkit.split("train", ["a", "b"])
    needs = {"x": frozenset({"boxes", "masks"})}
    keys = {"val_split": None, "test_split": "train", "classes": ["cat"], "cache": cache}
    data = make(devkit.root, tmp_path, needs, **keys)
    data.setup("fit")
    for _ in range(2):
        (batch,) = data.eval_dataloader(data.train_rows)
        masks = batch.originals[0]["masks"]
        assert masks.shape == (count, 30, 40)
        assert masks.nonzero().tolist() == [[number, y, x] for number, (x, y) in enumerate(places)]
        assert not batch.originals[1]["masks"].any()


def test_a_clean_set_is_read_to_the_same_bits_either_way(shapes_root: Path):
    classes = VOC().class_names(shapes_root)
    one, other = (VOC(boxes=how).read_index(shapes_root, classes) for how in ("mend", "strict"))
    rows = np.arange(len(one))
    assert one.fingerprint(rows) == other.fingerprint(rows)
    assert len(one.noted) == len(one.faulty) == 0
    assert not one.more


def test_a_semantic_mask_of_16_bits_keeps_its_border(devkit):
    devkit.image("a")
    indices = np.zeros((30, 40), np.uint16)
    indices[0], indices[1], indices[2] = 255, 65_535, 2
    Image.fromarray(indices).save(devkit.root / "SegmentationClass/a.png")
    raw = VOC().read(devkit.root, index(devkit), 0, "semantic")
    assert raw.dtype == torch.uint8
    assert raw[:4, 0].tolist() == [255, 255, 2, 0]


def test_an_xml_without_objects_says_that_nothing_is_there(devkit):
    devkit.image("a")
    (devkit.root / "Annotations/a.xml").write_text(xml(40, 30))
    found = index(devkit)
    assert found.labelled["boxes"].tolist() == found.labelled["classes"].tolist() == [True]
