from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from vjo_train.data.objects import Objects
from vjo_train.data.sources import xml_files
from vjo_train.data.sources.voc import annotation, layout
from vjo_train.errors import DataError
from vjo_train.geometry import to_devkit

CLASSES = {"cat": 0, "dog": 1, "person": 2}


def parse(tmp_path: Path, text: str | bytes) -> Objects:
    return parse_all(tmp_path, text)[1]


def parse_all(tmp_path: Path, text: str | bytes) -> tuple[tuple[int, int], Objects]:
    path = tmp_path / "a.xml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return annotation.parse(path, CLASSES)


def test_boxes_become_continuous_and_a_missing_difficult_means_no(tmp_path, write_xml):
    text = write_xml(40, 30, [("dog", (1, 1, 40, 30), None), ("cat", (3, 4, 3, 4), 1), ("cat", (2.5, 3.25, 9, 9), 0)])
    size, annotation = parse_all(tmp_path, text)
    assert size == (30, 40)
    np.testing.assert_array_equal(annotation.boxes, [[0, 0, 40, 30], [2, 3, 3, 4], [1.5, 2.25, 9, 9]])
    assert annotation.boxes.dtype == np.float32
    assert annotation.labels.tolist() == [1, 0, 0]
    assert annotation.difficult.tolist() == [False, True, False]


def test_parts_of_a_person_are_no_objects(tmp_path):
    text = """<annotation><size><width>40</width><height>30</height></size><object>
      <part><name>head</name><bndbox><xmin>5</xmin><ymin>5</ymin><xmax>6</xmax><ymax>6</ymax></bndbox></part>
      <name> person </name>
      <bndbox><xmin>2</xmin><ymin>2</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object></annotation>"""
    known = parse(tmp_path, text)
    assert known.labels.tolist() == [2]
    np.testing.assert_array_equal(known.boxes, [[1, 1, 9, 9]])


def test_no_objects(tmp_path, write_xml):
    known = parse(tmp_path, write_xml(40, 30))
    assert known.boxes.shape == (0, 4)
    assert known.labels.shape == known.difficult.shape == (0,)


LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE annotation [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>
<annotation><size><width>&b;</width></size></annotation>"""
OTHER_FILE = b"""<!DOCTYPE annotation [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotation><size>", r"a\.xml: found no element found|unclosed token|well-formed"),
        ("", "no element found in line 1"),
        (b"\x00\xff\x12", "well-formed XML"),
        (LAUGHS, "document type declaration"),
        (OTHER_FILE, "document type declaration"),
        ('<?xml version="1.0" encoding="nonsense"?><annotation/>', r"a\.xml: no readable XML \(unknown encoding"),
        ("<boxes/>", "root element <boxes>; must be <annotation>"),
        ("<annotation/>", "found none for size/width; must be a whole number"),
        ("<annotation><size><width>0</width><height>3</height></size></annotation>", "image size of 0 x 3"),
        ([("hors", (1, 1, 2, 2), 0)], r"object 1: unknown class 'hors'; allowed are cat, dog, person"),
        ([("dogg", (1, 1, 2, 2), 0)], r"unknown class 'dogg' \(did you mean 'dog'\?\)"),
        (
            [("cat", (1, 1, 2, 2), 0), ("cat", (1, 1, 2, 2), 7)],
            r"object 2 \(cat\): found difficult '7'; must be 0 or 1",
        ),
        ([("cat", (5, 1, 4, 2), 0)], r"box \(5, 1, 4, 2\) has no area"),
        ([("cat", (1, 9, 4, 2), 0)], "has no area; xmin <= xmax and ymin <= ymax"),
        ([("cat", (0, 1, 4, 2), 0)], r"leaves the image of 40 x 30 pixels; x must be in 1\.\.40"),
        ([("cat", (1, 1, 41, 2), 0)], "leaves the image"),
        ([("cat", (1, 1, 4, 31), 0)], r"and y in 1\.\.30"),
        ("<annotation><size><width>9e9</width><height>3</height></size></annotation>", "found '9e9' for size/width"),
        (f"<annotation><size><width>{10**12}</width><height>3</height></size></annotation>", r"both must be in 1\.\."),
        ("<annotation>".encode("utf-16") + b"x", "well-formed XML"),
        ("<a>" * 100_000, "unclosed token|no element found"),
        ([("cat", ("nan", 1, 4, 3), 0)], r"found 'nan' for bndbox/xmin; must be a number"),
        ([("cat", ("x", 1, 4, 3), 0)], r"found 'x' for bndbox/xmin"),
    ],
)
def test_mistakes_name_the_file(tmp_path, write_xml, text, message):
    if isinstance(text, list):
        text = write_xml(40, 30, text)
    with pytest.raises(DataError, match=message) as error:
        parse(tmp_path, text)
    assert str(tmp_path / "a.xml") in str(error.value)


def test_a_missing_box_and_a_missing_file(tmp_path):
    size = "<size><width>4</width><height>3</height></size>"
    with pytest.raises(DataError, match="found none for bndbox/xmin"):
        parse(tmp_path, f"<annotation>{size}<object><name>cat</name></object></annotation>")
    with pytest.raises(DataError, match=r"b\.xml: the annotation is missing"):
        annotation.parse(tmp_path / "b.xml", CLASSES)


def test_what_is_no_regular_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.xml")
    (tmp_path / "loop.xml").symlink_to("loop.xml")
    with (tmp_path / "huge.xml").open("wb") as file:
        file.truncate(xml_files.MOST_BYTES + 1)
    for name, message in (("pipe", "no regular file"), ("loop", "symbolic links"), ("huge", "found 16777217 bytes")):
        with pytest.raises(DataError, match=rf"{name}\.xml: .*{message}"):
            annotation.parse(tmp_path / f"{name}.xml", CLASSES)


def test_root_is_the_folder_or_the_devkit_above(tmp_path):
    (tmp_path / "x" / "VOCdevkit" / "VOC2007" / "JPEGImages").mkdir(parents=True)
    root = tmp_path / "x" / "VOCdevkit" / "VOC2007"
    assert layout.find_root(root) == layout.find_root(root.parent) == layout.find_root(root.parent.parent) == root
    with pytest.raises(DataError, match=r"dataset\.root: .* holds neither JPEGImages/ nor"):
        layout.find_root(tmp_path)
    with pytest.raises(DataError, match=r"dataset\.root: found no folder .*nowhere"):
        layout.find_root(tmp_path / "nowhere")
    (root.parent / "VOC2012" / "JPEGImages").mkdir(parents=True)
    with pytest.raises(DataError, match=r"several data sets \(VOC2007, VOC2012\)"):
        layout.find_root(root.parent)


def test_splits(devkit):
    devkit.split("train", ["b", "a"])
    devkit.split("trainval", ["c"])
    devkit.root.joinpath("ImageSets/Main/cat_train.txt").write_text("a  1\nb -1\n\n")
    assert layout.split_names(devkit.root) == ["train", "trainval"]
    assert layout.read_split(devkit.root, "train") == ["b", "a"]
    assert layout.read_split(devkit.root, "cat_train") == ["a", "b"]
    with pytest.raises(DataError, match=r"no split 'trian' \(did you mean 'train'\?\); found train, trainval"):
        layout.read_split(devkit.root, "trian")
    devkit.split("empty", [])
    with pytest.raises(DataError, match=r"empty\.txt: the split 'empty' is empty"):
        layout.read_split(devkit.root, "empty")
    devkit.split("twice", ["a", "b", "a"])
    with pytest.raises(DataError, match="image 'a' is listed twice"):
        layout.read_split(devkit.root, "twice")
    devkit.root.joinpath("ImageSets/Main/bom.txt").write_bytes(b"\xef\xbb\xbfa\r\nb\r\n")
    assert layout.read_split(devkit.root, "bom") == ["a", "b"]
    devkit.split("paths", ["a", "images/im0.JPG", "sub\\c.v2", "../d.png  -1"])
    assert layout.read_split(devkit.root, "paths") == ["a", "im0", "c.v2", "d"]
    for name in ("..", "sub/"):
        devkit.split("paths", ["a", name])
        with pytest.raises(DataError, match=r"found the image id '.*'; must be the name of a file"):
            layout.read_split(devkit.root, "paths")
    devkit.root.joinpath("ImageSets/Main/odd.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not UTF-8 text"):
        layout.read_split(devkit.root, "odd")


def test_real_boxes_convert_there_and_back(shared):
    """Against the official boxes as another program wrote them down."""
    names = (shared / "coco_voc20/classes.txt").read_text().split()
    classes = {name: number for number, name in enumerate(names)}
    lines = "".join((shared / "voc2007_lists" / f"voc07_{split}.txt").read_text() for split in ("trainval", "test"))
    official = {line.split()[0][:-4]: line.split()[1:] for line in lines.splitlines()}
    paths = sorted((shared / "VOCdevkit/VOC2007/Annotations").glob("*.xml"))
    assert len(paths) == 128
    for path in paths:
        _, known = annotation.parse(path, classes)
        rows = np.concatenate([to_devkit(known.boxes), known.labels[:, None]], axis=1).astype(int)
        expected = np.asarray(official[path.stem], int).reshape(-1, 5)
        assert sorted(map(tuple, rows.tolist())) == sorted(map(tuple, expected.tolist())), path.stem
