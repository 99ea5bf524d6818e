"""Data sets in the layout of YOLO."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image, ImageOps

from tests.conftest import Answer
from tests.data.test_datamodule import make
from vjo_train.data.index import Index
from vjo_train.data.sources.guess.folders import looks_like
from vjo_train.data.sources.opened import load_index
from vjo_train.data.sources.yolo.source import YOLO
from vjo_train.errors import DataError

NAMES = ["cat", "dog"]
SQUARE = "0 0.25 0.25 0.75 0.25 0.75 0.75 0.25 0.75"
"""Half of the width and height of a picture, in its middle."""


class Set:
    """Writes a data set file by file; pictures have 40 x 20 pixels."""

    def __init__(self, root: Path, **content) -> None:
        self.root = root
        self.yaml(**content)

    def yaml(self, name: str = "data.yaml", **content) -> None:
        self.root.mkdir(exist_ok=True)
        whole = {"names": NAMES, "train": "images/train", "val": "images/val", **content}
        (self.root / name).write_text(yaml.safe_dump(whole))

    def add(self, name: str, rows: str | None = "0 0.5 0.5 0.5 0.5", extension: str = "jpg") -> Path:
        picture = self.root / "images" / f"{name}.{extension}"
        picture.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((20, 40, 3), len(name), np.uint8)).save(picture)
        if rows is not None:
            text = self.root / "labels" / f"{name}.txt"
            text.parent.mkdir(parents=True, exist_ok=True)
            text.write_text(rows)
        return picture

    def index(self, classes=NAMES, **keys) -> Index:
        return YOLO(**keys).read_index(self.root / "data.yaml", classes)


@pytest.fixture
def written(tmp_path: Path) -> Set:
    return Set(tmp_path / "set")


def test_a_box_is_given_by_its_middle_and_size(written):
    written.add("train/a", "1 0.5 0.5 0.5 0.5\n0 0.125 0.75 0.25 0.5\n\n")
    written.add("val/b", "", "PNG")
    found = written.index()
    assert found.ids.tolist() == ["images/train/a", "images/val/b"]
    assert found.sizes.tolist() == [[20, 40], [20, 40]]
    assert found.objects(0).boxes.tolist() == [[10, 5, 30, 15], [0, 10, 10, 20]]
    assert found.objects(0).labels.tolist() == [1, 0]
    assert found.labelled["boxes"].all(), "an empty file says that nothing is there"
    assert found.labelled["classes"].all()
    assert not found.labelled["masks"].any()
    assert not found.labelled["semantic"].any()


def test_a_polygon_is_filled_to_the_pixel(written):
    written.add("train/a", f"1 0 0 1 0 1 1 0 1\n{SQUARE}")
    written.add("train/boxed", f"{SQUARE}\n0 0.5 0.5 0.5 0.5")
    written.add("train/empty", "")
    found, root = written.index(), written.root / "data.yaml"
    assert found.labelled["masks"].tolist() == found.labelled["semantic"].tolist() == [True, False, True]
    assert found.objects(0).boxes.tolist() == [[0, 0, 40, 20], [10, 5, 30, 15]]
    whole = torch.zeros(20, 40, dtype=torch.bool)
    whole[5:15, 10:30] = True
    masks, semantic = (YOLO().read(root, found, 0, kind) for kind in ("masks", "semantic"))
    assert masks[0].all()
    assert torch.equal(masks[1], whole)
    assert torch.equal(semantic, torch.where(whole, 1, 2).to(torch.uint8)), "the smaller one lies on top"
    assert YOLO().read(root, found, 2, "masks").shape == (0, 20, 40)
    assert not YOLO().read(root, found, 2, "semantic").any()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_rows_are_of_the_picture_as_it_is_shown(written, orientation):
    """Pillow shows the stored mask as its orientation says; the row is the rectangle that is seen then."""
    picture, exif = written.add("train/a", ""), Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (40, 20)).save(picture, exif=exif)
    stored = np.zeros((20, 40), np.uint8)
    stored[2:8, 4:30] = 255
    with Image.fromarray(stored) as mask:
        mask.getexif()[0x0112] = orientation
        shown = np.asarray(ImageOps.exif_transpose(mask))
    rows, columns = np.nonzero(shown)
    height, width = shown.shape
    x1, y1, x2, y2 = columns.min() / width, rows.min() / height, (columns.max() + 1) / width, (rows.max() + 1) / height
    (written.root / "labels/train/a.txt").write_text(f"0 {x1} {y1} {x2} {y1} {x2} {y2} {x1} {y2}")
    found = written.index()
    np.testing.assert_allclose(found.boxes, [[4, 2, 30, 8]], atol=1e-5)
    np.testing.assert_array_equal(YOLO().read(written.root / "data.yaml", found, 0, "masks")[0], stored > 0)


def test_a_changed_outline_changes_the_fingerprint(written):
    prints = []
    for corner in ("0.25 0.25", "0.3 0.3"):  # of the same box
        written.add("train/a", f"0 0.25 0.25 0.75 0.25 0.75 0.75 0.25 0.75 {corner}")
        prints.append(written.index().fingerprint(np.arange(1)))
    assert prints[0] != prints[1]


def points(index, name: str = "train/a"):
    row = int(index.rows([f"images/{name}"])[0])
    return YOLO().read(Path(index.images[row]).parents[2] / "data.yaml", index, row, "keypoints")


def test_key_points_are_read_in_pixels(tmp_path):
    written = Set(tmp_path / "set", kpt_shape=[2, 3], flip_idx=[1, 0])
    written.add(
        "train/a", "0 0.5 0.5 0.5 0.5 0.4 0.4 2 0 0 0\n1 0.5 0.5 0.25 0.5\n0 0.5 0.5 0.5 0.5 0.4 0.4 1 0.9 0.2 2"
    )
    written.add("val/v", "")
    found = written.index()
    assert found.boxes[0].tolist() == [10, 5, 30, 15]
    assert not found.labelled["masks"].any()
    assert found.labelled["keypoints"].tolist() == [True, True]
    known = points(found)
    assert (
        known.points.tolist() == np.float32([[[16, 8, 2], [0, 0, 0]], [[0] * 3] * 2, [[16, 8, 1], [36, 4, 2]]]).tolist()
    )
    assert known.swap.tolist() == [1, 0]
    assert known.areas.tolist() == pytest.approx([0.53 * 200, 0.53 * 100, 0.53 * 200])
    assert points(found, "val/v").points.shape == (0, 2, 3)


def test_key_points_of_two_numbers_are_visible_but_at_the_origin(tmp_path):
    written = Set(tmp_path / "set", kpt_shape=[3, 2])
    written.add("train/a", "0 0.5 0.5 0.5 0.5 0.4 0.4 0 0 0 0.5")
    found = written.index()
    known = points(found)
    assert known.points.tolist() == np.float32([[[16, 8, 2], [0, 0, 0], [0, 10, 2]]]).tolist()
    assert known.swap is None
    assert "no flip_idx" in found.notes[:, 0]


def test_key_points_count_in_the_fingerprint(tmp_path):
    written = Set(tmp_path / "set", kpt_shape=[1, 3], flip_idx=[0])
    prints = []
    for point in ("0.4 0.4 2", "0.4 0.4 1", "0.4 0.5 1"):
        written.add("train/a", f"0 0.5 0.5 0.5 0.5 {point}")
        prints.append(written.index().fingerprint(np.arange(1)))
    written.yaml(kpt_shape=[1, 3])
    prints.append(written.index().fingerprint(np.arange(1)))
    assert len(set(prints)) == 4, "and what a mirror image swaps"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_key_points_are_turned_with_the_picture(tmp_path, orientation):
    """What is shown at a point is stored at the point that is read; a mirror image swaps left and right."""
    written = Set(tmp_path / "set", kpt_shape=[2, 3], flip_idx=[1, 0])
    picture = written.add("train/a", "0 0.5 0.5 1 1 0.2 0.3 2 0.8 0.9 1")
    shown = np.zeros((20, 40, 3), np.uint8)
    shown[6, 8], shown[18, 32] = 255, 128
    stored = next(
        image
        for transpose in [None, *Image.Transpose]
        if (image := Image.fromarray(shown) if transpose is None else Image.fromarray(shown).transpose(transpose))
        and np.array_equal(np.asarray(ImageOps.exif_transpose(_with_orientation(image, orientation))), shown)
    )
    _with_orientation(stored, orientation).save(picture, exif=_exif(orientation), quality=100)
    points_there = points(written.index()).points[0]
    values = np.asarray(stored)[..., 0]
    mirror = orientation in (2, 4, 5, 7)
    for (x, y, visible), bright in zip(points_there.tolist(), (128, 255) if mirror else (255, 128), strict=True):
        assert visible == {255: 2, 128: 1}[bright]
        row, column = (values == bright).nonzero()
        assert abs(x - (column[0] + 0.5)) <= 0.51
        assert abs(y - (row[0] + 0.5)) <= 0.51


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def _with_orientation(image: Image.Image, orientation: int) -> Image.Image:
    copy = image.copy()
    copy.getexif()[0x0112] = orientation
    return copy


@pytest.mark.parametrize(
    ("content", "row", "message"),
    [
        ({"kpt_shape": [2, 4]}, "", r"found kpt_shape \[2, 4\]; must be \[K, 2\] or \[K, 3\]"),
        ({"kpt_shape": 17}, "", r"found kpt_shape 17"),
        ({"kpt_shape": [2, 3], "flip_idx": [0, 2]}, "", r"found flip_idx \[0, 2\]; must hold each of 0\.\.1 once"),
        ({"kpt_shape": [1, 3]}, "0.4 0.4 3", r"a\.txt: line 1: found the visibility 3 of a point; must be 0, 1 or 2"),
        ({"kpt_shape": [1, 3]}, "0.4 x 2", r"line 1: found 'x'; must be a number"),
        ({"kpt_shape": [2, 3]}, "0.4 0.4 2", r"line 1: found 8 columns; must be 5, .* or 11, with key points"),
    ],
)
def test_wrong_key_points_are_named(tmp_path, content, row, message):
    written = Set(tmp_path / "set", **content)
    written.add("train/a", f"0 0.5 0.5 0.5 0.5 {row}")
    with pytest.raises(DataError, match=message):
        raise DataError(str(written.index().faults[0]))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("0 0.5 0.5 1.2 0.5", r"a\.txt: line 2: found 1\.2; must be in 0\.\.1"),
        ("0 -0.5 0.5 0.2 0.5", r"line 2: found -0\.5; must be in 0\.\.1"),
        ("0 40 20 30 15", r"line 2: found 40; must be in 0\.\.1"),
        ("0 0.5 0.5 0.2", r"line 2: found 4 columns; must be 5, a class and a box, or 7, 9, 11"),
        ("0 0.5 0.5 0.2 0.2 0.9", "line 2: found 6 columns"),
        ("2 0.5 0.5 0.2 0.5", r"line 2: found the class 2; names has the numbers 0\.\.1"),
        ("0.5 0.5 0.5 0.2 0.5", "line 2: found the class 0.5"),
        ("cat 0.5 0.5 0.2 0.5", "line 2: found 'cat'; must be a number"),
        ("0 nan 0.5 0.2 0.5", "line 2: found 'nan'; must be a number"),
    ],
)
def test_mistakes_name_the_file_and_line(written, row, message):
    written.add("train/a", f"0 0.5 0.5 0.5 0.5\n{row}")
    written.add("train/b")
    found = written.index()
    assert found.faulty.tolist() == [0]
    with pytest.raises(DataError, match=message):
        raise DataError(str(found.faults[0]))


def test_what_is_dropped_is_said(written, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    written.add("train/a", "0 0.5 0.5 0.5 0.5\n0  0.5 0.5 0.5 0.5\n1 0.5 0.5 0 0.5")
    written.add("train/b", None)
    found = load_index(YOLO(), written.root / "data.yaml", NAMES, tmp_path / "cache")
    assert len(found.boxes) == 1
    assert "found and mended: duplicate row (1), row without area (1)" in caplog.text
    assert "1 of 2 pictures have no text file: nothing is there" in caplog.text


def test_a_picture_without_a_text_file_may_also_be_unlabelled(written):
    written.add("train/a", SQUARE)
    written.add("train/b", None)
    assert written.index().labelled["boxes"].tolist() == [True, True]
    found = written.index(missing="unlabelled")
    assert [found.labelled[kind].tolist() for kind in ("boxes", "classes", "masks")] == [[True, False]] * 3
    written.yaml(skip_if_label_file_missing=True)
    assert written.index().labelled["boxes"].tolist() == [True, False]
    assert written.index(missing="empty").labelled["boxes"].tolist() == [True, True]
    (written.root / "labels/train/a.txt").unlink()
    with pytest.raises(
        DataError, match=r"no text file for any of its 2 pictures; must be such as .*labels/train/a\.txt"
    ):
        written.index()


def test_names_are_a_list_or_numbered(written):
    written.yaml(names={7: "dog", 3: "cat"})
    written.add("train/a", "7 0.5 0.5 0.5 0.5")
    assert YOLO().class_names(written.root / "data.yaml") == ["cat", "dog"]
    assert written.index().labels.tolist() == [1]
    assert written.index(["dog", "cat"]).labels.tolist() == [0], "dataset.classes gives the order"
    assert "found in the files dog (1)" in written.index(["bird"]).faults[0]


def test_splits_are_folders_lists_or_several(written):
    for name in ("train/a", "train/deep/b", "more/c", "other/d"):
        written.add(name)
    (written.root / "images/train/notes.md").write_text("no picture")
    (written.root / "list.txt").write_text("./images/other/d.jpg\nimages/more/c.jpg\n")
    written.yaml(train=["images/train", "images/more"], val="list.txt", test=None)
    source, root = YOLO(), written.root / "data.yaml"
    assert source.splits(root) == ["train", "val"]
    assert source.split(root, "train") == ["images/train/a", "images/train/deep/b", "images/more/c"]
    assert source.split(root, "val") == ["images/other/d", "images/more/c"]
    for changed, message in (
        ({"train": "nowhere"}, r"data\.yaml: train: found no 'nowhere' in"),
        ({"train": ["images/more", "images/more"]}, r"c\.jpg twice"),
        ({"train": 3}, "train: found .*; must be a folder, a text file, or a list"),
        ({"names": None}, "found none for names"),
    ):
        written.yaml(**changed)
        with pytest.raises(DataError, match=message):
            source.split(root, "train")
    written.yaml()
    with pytest.raises(DataError, match="there is no split 'test'; found train, val"):
        source.split(root, "test")


def test_pictures_may_lie_apart_from_their_labels(written, tmp_path):
    for name in ("train/a", "train/deep/b", "val/c"):
        written.add(name)
    (written.root / "list.txt").write_text("./images/val/c.jpg\n")
    written.yaml(val="list.txt")
    whole = YOLO()
    before = whole.read_index(written.root / "data.yaml", NAMES)
    (written.root / "images").rename(tmp_path / "images")
    with pytest.raises(DataError, match=r"found no 'images/train' .* dataset\.source\.images=\.\./images takes"):
        whole.split(written.root / "data.yaml", "train")
    apart = YOLO(images="../images")
    for split in ("train", "val"):
        assert (
            apart.split(written.root / "data.yaml", split)
            == {
                "train": ["images/train/a", "images/train/deep/b"],
                "val": ["images/val/c"],
            }[split]
        )
    index = apart.read_index(written.root / "data.yaml", NAMES)
    assert index.ids.tolist() == before.ids.tolist()
    assert index.fingerprint(np.arange(3)) == before.fingerprint(np.arange(3))
    assert index.image(written.root, 0) == tmp_path / "images/train/a.jpg"
    (written.root / "classes.txt").write_text("cat")
    with pytest.raises(DataError, match=r"dataset\.source\.images: found '\.\./images', but .*classes\.txt is no YAML"):
        apart.class_names(written.root / "classes.txt")


def test_where_exports_say_that_pictures_lie(written):
    written.add("train/a")
    written.yaml(train="../images/train", path=None)
    assert YOLO().split(written.root / "data.yaml", "train") == ["images/train/a"]
    written.yaml("elsewhere.yaml", path=str(written.root))
    (written.root / "elsewhere.yaml").rename(written.root.parent / "elsewhere.yaml")
    assert YOLO().split(written.root.parent / "elsewhere.yaml", "train") == ["images/train/a"]


def test_the_root_is_the_yaml_file_or_its_folder(written):
    source, file = YOLO(), written.root / "data.yaml"
    assert source.root(written.root) == source.root(file) == file
    file.rename(file.with_name("pets.yml"))
    assert source.root(written.root) == file.with_name("pets.yml")
    written.yaml("b.yaml")
    with pytest.raises(DataError, match=r"holds b\.yaml, pets\.yml; name one of them"):
        source.root(written.root)
    with pytest.raises(DataError, match=r"found no .*nowhere"):
        source.root(written.root / "nowhere")


def test_two_pictures_with_one_text_file_are_named(written):
    written.add("train/a")
    written.add("train/a", extension="png")
    assert "a.jpg and" in written.index().faults[0]


def test_a_changed_label_or_picture_is_noticed(written, tmp_path):
    written.add("train/a")
    stamps = {YOLO().stamp(written.root / "data.yaml")}
    for change in (lambda: written.add("train/a", "1 0.5 0.5 0.5 0.5 "), lambda: written.add("train/b", None)):
        change()
        stamps.add(YOLO().stamp(written.root / "data.yaml"))
    assert len(stamps) == 3


@pytest.mark.parametrize("cache", ["none", "ram"])
def test_batches_hold_what_is_labelled(written, tmp_path, cache):
    for number in range(6):
        written.add(f"train/{number}", SQUARE)
    written.add("val/v", "")
    needs = {
        "detection": frozenset({"boxes"}),
        "instance": frozenset({"boxes", "masks"}),
        "semantic": frozenset({"semantic"}),
    }
    keys = {"source": YOLO(), "classes": NAMES, "test_split": "val", "batch_size": 3, "cache": cache}
    data = make(written.root, tmp_path / "cache", needs, **keys)
    data.setup("fit")
    for _ in range(2):
        (batch, _) = data.eval_dataloader(data.train_rows)
        assert batch.originals[0]["masks"].sum() == batch.originals[0]["semantic"].sum() == 200
    assert len(list(data.train_dataloader())) == 2


def test_the_command_sums_it_up(command: Callable[..., Answer], written):
    for number in range(10):
        written.add(f"train/{number}", SQUARE)
    written.add("val/v", "")
    for place in (written.root, written.root / "data.yaml"):
        words = ("dataset=yolo", f"dataset.root={place}", "dataset.size=32", "output=seen")
        assert command("vjo-data", "summary", *words)[0] == 0
    splits = json.loads(Path("seen/summary.json").read_text())["splits"]
    assert {name: split["images"] for name, split in splits.items()} == {"train": 9, "val": 1, "test": 1}
    assert splits["train"]["labelled"] == {"classes": 9, "boxes": 9, "semantic": 9, "masks": 9, "keypoints": 0}
    assert splits["test"]["without_objects"] == 1


@pytest.mark.parametrize(
    ("names", "pictures", "labels"),
    [
        ("classes.txt", "a{}.jpg", "a{}.txt"),  # labelImg
        ("classes.txt", "images/a{}.jpg", "labels/a{}.txt"),  # Label Studio
        ("labels/classes.txt", "images/a{}.jpg", "labels/a{}.txt"),
        ("obj.names", "obj_train_data/a{}.jpg", "obj_train_data/a{}.txt"),  # CVAT's YOLO 1.1
    ],
)
def test_a_list_of_class_names_does_for_a_yaml_file(names: str, pictures: str, labels: str, tmp_path: Path) -> None:
    root = tmp_path / "set"
    for k in range(9):
        for place in (pictures, labels):
            (root / place.format(k)).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 20)).save(root / pictures.format(k))
        (root / labels.format(k)).write_text("1 0.5 0.5 0.2 0.4\n")
    (root / names).write_text("cat\ndog\n")
    source = YOLO()
    found = source.root(root)
    index = load_index(source, found, source.class_names(found), tmp_path / "cache")
    assert {split: len(source.split(found, split)) for split in source.splits(found)} == {"train": 8, "val": 1}
    assert (index.classes.tolist(), set(index.labels.tolist()), len(index.boxes)) == (["cat", "dog"], {1}, 9)
    np.testing.assert_allclose(index.boxes[0], [16, 6, 24, 14], atol=1e-5)
    assert f"dataset=yolo dataset.root={root} reads it" in looks_like(root)


def test_folders_of_a_list_of_names_may_be_splits(tmp_path: Path) -> None:
    """Roboflow's Darknet export."""
    for split in ("train", "valid"):
        (tmp_path / split).mkdir()
        Image.new("RGB", (40, 20)).save(tmp_path / split / "a.jpg")
        (tmp_path / split / "a.txt").write_text("0 0.5 0.5 0.2 0.4\n")
        (tmp_path / split / "_darknet.labels").write_text("cat\n")
    source = YOLO()
    found = source.root(tmp_path)
    assert {split: source.split(found, split) for split in source.splits(found)} == {
        "train": ["train/a"],
        "val": ["valid/a"],
    }
