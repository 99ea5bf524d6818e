"""One report of all faults before training, or a run without them."""

from __future__ import annotations

import hashlib
import re

import numpy as np
import pytest
from PIL import Image

from tests.data.test_datamodule import NEEDS, make
from vjo_train.data import file_checks
from vjo_train.data.sources.voc.source import VOC
from vjo_train.errors import DataError

BOX = [("cat", (1, 1, 5, 5), 0)]
FAULTS = {
    "truncated": r"truncated\.jpg: damaged or no picture",
    "empty": r"empty\.jpg: damaged or no picture",
    "missing": r"missing\.jpg: cannot be read \(No such file",
    "resized": r"resized\.jpg: found 41 x 30 pixels; its annotation says 40 x 30",
    "entities": r"entities\.xml: found a document type declaration",
    "inverted": r"inverted\.xml: object 1 \(cat\): the box \(5, 1, 4, 2\) has no area",
    "unannotated": r"train\.txt: lists 'unannotated', which has no Annotations/unannotated\.xml",
    "index": r"SegmentationClass/index\.png: found the index 9; allowed are 0\.\.1",
    "mask": r"SegmentationObject/mask\.png: found a mask of 4 x 4 pixels; the image has 40 x 30",
    "loop": r"loop\.jpg: cannot be read \(Too many levels of symbolic links\)",
}


@pytest.fixture
def hostile(devkit):
    """Four sound images and one of each fault; the fifth is a PNG named .jpg."""
    sound = ["a", "b", "c", "d", "png"]
    for name in (*sound, *FAULTS):
        devkit.image(name, objects=BOX)
    images, annotations = devkit.root / "JPEGImages", devkit.root / "Annotations"
    Image.new("RGB", (40, 30)).save(images / "png.jpg", format="PNG")
    truncated = images / "truncated.jpg"
    truncated.write_bytes(truncated.read_bytes()[:-200])
    (images / "empty.jpg").write_bytes(b"")
    Image.new("RGB", (41, 30)).save(images / "resized.jpg")
    for path in (images / "missing.jpg", images / "loop.jpg", annotations / "unannotated.xml"):
        path.unlink()
    (images / "loop.jpg").symlink_to("loop.jpg")
    (annotations / "entities.xml").write_text('<!DOCTYPE a [<!ENTITY x "y">]><annotation>&x;</annotation>')
    inverted = annotations / "inverted.xml"
    inverted.write_text(inverted.read_text().replace("<xmin>1<", "<xmin>5<").replace("<xmax>5<", "<xmax>4<")
                        .replace("<ymax>5<", "<ymax>2<"))  # fmt: skip
    for name in ("a", "b", "c", "d"):
        for folder in ("SegmentationClass", "SegmentationObject"):
            devkit.mask(folder, name, np.ones((30, 40)))
    devkit.mask("SegmentationClass", "index", np.full((30, 40), 9))
    devkit.mask("SegmentationObject", "mask", np.zeros((4, 4)))
    devkit.split("train", [*FAULTS, *sound])
    devkit.split("test", ["a", "empty"])
    return devkit


def data_of(devkit, cache, **changed):
    keys = {"classes": ["cat"], "val_split": None, "batch_size": 4, "source": VOC(boxes="strict"), **changed}
    return make(devkit.root, cache, **keys)


def state(devkit):
    files = sorted(path for path in devkit.root.rglob("*") if path.is_file())
    return {path: (hashlib.sha256(path.read_bytes()).digest(), path.stat().st_mtime_ns) for path in files}


def test_one_report_names_every_fault_before_training(hostile, tmp_path):
    before = state(hostile)
    with pytest.raises(DataError) as error:
        data_of(hostile, tmp_path / "cache").setup("fit")
    head, *lines, end = str(error.value).splitlines()
    assert head == "10 of the 15 images in use are faulty:"
    assert end == "Mend them, or set dataset.on_bad_image=skip to leave these images out."
    assert len(lines) == len(FAULTS)
    for line, pattern in zip(lines, FAULTS.values(), strict=True):
        assert re.search(pattern, line)
    assert state(hostile) == before


def test_skip_leaves_them_out_and_counts_them(hostile, tmp_path, caplog):
    data = data_of(hostile, tmp_path / "cache", on_bad_image="skip")
    data.setup("fit")
    assert data.index.ids[data.train_rows].tolist() == ["a", "b", "c", "d", "png"]
    assert data.skipped == {"train": 10, "test": 1}
    assert "They are left out (dataset.on_bad_image=skip)." in caplog.text
    assert {name for batch in data.train_dataloader() for name in batch.ids} <= {"a", "b", "c", "d", "png"}
    hostile.split("train", ["empty"])
    with pytest.raises(DataError, match=r"train\.txt: none of its 1 images is sound"):
        data_of(hostile, tmp_path / "cache", on_bad_image="skip").setup()


def test_masks_that_no_task_needs_are_not_looked_into(hostile, tmp_path):
    data = data_of(hostile, tmp_path / "cache", on_bad_image="skip", needs={"x": NEEDS["classification"]})
    data.setup()
    assert data.skipped == {"train": 8}


def test_a_verdict_holds_until_its_file_changes(hostile, tmp_path, caplog):
    caplog.set_level("INFO")
    looked = [looking(hostile, tmp_path, caplog) for _ in range(2)]
    assert looked == [True, False]
    path = hostile.root / "JPEGImages" / "a.jpg"
    Image.new("RGB", (7, 7)).save(path)
    assert looking(hostile, tmp_path, caplog)
    assert "Looking into 1 files" in caplog.text
    assert "a.jpg: found 7 x 7 pixels" in (tmp_path / "cache/faulty-images.txt").read_text()
    for kept in (tmp_path / "cache").glob("verdicts-*.json"):
        kept.write_text("{broken")
    assert looking(hostile, tmp_path, caplog)
    assert "unreadable" in caplog.text


def looking(hostile, tmp_path, caplog) -> bool:
    caplog.clear()
    data_of(hostile, tmp_path / "cache", on_bad_image="skip").setup()
    return "Looking into" in caplog.text


def test_faults_of_one_kind_are_one_line_with_a_count(tmp_path):
    found = {str(n): f"{n}.xml: object {n}: unknown class 'a{n}'; allowed are b." for n in range(50)}
    found["x"] = "x.jpg: damaged"
    _, classes, damaged, end = file_checks.report(found, 80, tmp_path).splitlines()
    assert classes == "  0.xml: object 0: unknown class 'a0'; allowed are b. (and 49 more like this)"
    assert damaged == "  x.jpg: damaged"
    assert end == f"  ... all are listed in {tmp_path / 'faulty-images.txt'}"
    assert (tmp_path / "faulty-images.txt").read_text().splitlines() == list(found.values())


def test_a_long_report_goes_on_in_a_file(tmp_path):
    found = {str(n): f"fault {'x' * n}" for n in range(50)}
    text = file_checks.report(found, 80, tmp_path)
    assert len(text.splitlines()) == file_checks.SHOWN + 2
    assert text.splitlines()[-1] == f"  ... and 30 other kinds; all are listed in {tmp_path / 'faulty-images.txt'}"
    assert (tmp_path / "faulty-images.txt").read_text().splitlines() == list(found.values())
