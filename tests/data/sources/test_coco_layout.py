"""Where COCO's JSON and its pictures lie, and what the splits are called."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from tests.conftest import Answer
from tests.data.sources.written import document, picture, thing, written
from tests.tiny import BACKBONE
from vjo_train.data.sources.coco.source import COCO
from vjo_train.errors import DataError

ONE = document(["a.jpg"], [thing(1)])
TWO = document(["b.jpg", "c.jpg"], [thing(2)])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "set"


def pictures(root: Path, source: COCO, split: str) -> list[str]:
    index = source.read_index(root, source.class_names(root))
    return [str(index.images[row]) for row in index.rows(source.split(root, split))]


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (
            {"annotations/instances_train2017.json": "train2017", "annotations/instances_val2017.json": "val2017"},
            {"train": ["train2017/a.jpg"], "val2017": ["val2017/b.jpg", "val2017/c.jpg"]},
        ),
        (
            {"annotations/instances_train.json": "images/train", "annotations/instances_val.json": "images/val"},
            {"train": ["images/train/a.jpg"], "val": ["images/val/b.jpg", "images/val/c.jpg"]},
        ),
        (
            {"train/_annotations.coco.json": "train", "valid/_annotations.coco.json": "valid"},
            {"train": ["train/a.jpg"], "val": ["valid/b.jpg", "valid/c.jpg"]},
        ),
        (
            {"train/labels.json": "train/data", "validation/labels.json": "validation/images"},
            {"train": ["train/data/a.jpg"], "val": ["validation/images/b.jpg", "validation/images/c.jpg"]},
        ),
        ({"annotations/instances_default.json": "images/default"}, {"default": ["images/default/a.jpg"]}),
        ({"annotations/instances_default.json": "images"}, {"default": ["images/a.jpg"]}),
        ({"result.json": "images"}, {"result": ["images/a.jpg"]}),
        ({"_annotations.coco.json": ""}, {"annotations": ["a.jpg"]}),
        ({"annotations/train.json": "images", "annotations/val.json": "images"}, {"train": ["images/a.jpg"]}),
        ({"labels.json": "data"}, {"labels": ["data/a.jpg"]}),
        (
            {
                "annotations/LIVECell/livecell_coco_train.json": "images/train_val/A172",
                "annotations/LIVECell/livecell_coco_val.json": "images/train_val/BT474",
            },
            {
                "train": ["images/train_val/A172/a.jpg"],
                "val": ["images/train_val/BT474/b.jpg", "images/train_val/BT474/c.jpg"],
            },
        ),
    ],
)
def test_usual_layouts_need_no_key(root: Path, files: dict[str, str], found: dict[str, list[str]]) -> None:
    for (path, folder), content in zip(files.items(), (ONE, TWO), strict=False):
        written(root / path, content, root / folder)
    picture(root / "stray.jpg")
    (root / "notes.json").write_text('{"images": 3}')
    source = COCO()
    assert source.root(root) == root
    for split, names in found.items():
        assert pictures(root, source, split) == names
        assert source.has_split(root, split)


def test_keys_take_the_place_of_what_is_found(root: Path) -> None:
    written(root / "annotations/instances_a.json", ONE, root / "a")
    written(root / "mine/second.json", TWO, root / "mine/deep/pictures")
    source = COCO(annotations={"b": "mine/second.json"}, images={"b": "mine/deep/pictures"})
    assert source.root(root) == root
    assert pictures(root, source, "b") == ["mine/deep/pictures/b.jpg", "mine/deep/pictures/c.jpg"]
    assert source.splits(root) == ["b"]
    with pytest.raises(DataError, match=r"dataset.source.images: found the split 'c'; annotated are a"):
        COCO(images={"c": "a"}).splits(root)
    with pytest.raises(DataError, match=r"dataset.source.images: found \.\./x for 'a'; there is no folder"):
        COCO(images={"a": "../x"}).splits(root)
    (root / "a").rename(root.parent / "x")  # annotations of several tasks share their pictures
    beside = COCO(images={"a": "../x"})
    index = beside.read_index(root, beside.class_names(root))
    assert beside.split(root, "a") == index.ids.tolist() == ["a"]
    assert index.image(root, 0).is_file()
    before = beside.stamp(root)
    (root.parent / "x/a.jpg").touch()
    assert beside.stamp(root) != before
    with pytest.raises(DataError, match=r"gone.json: cannot be read \(No such file"):
        COCO(annotations={"b": "gone.json"}).splits(root)


def test_files_of_other_tasks_are_no_splits(root: Path) -> None:
    for name in ("person_keypoints_val", "captions_val", "instances_val", "image_info_test"):
        written(root / f"annotations/{name}.json", ONE, root / "val")
    assert COCO().splits(root) == ["val"]


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        ((["x/a.jpg"], ["b.png"]), (["x/a"], ["b"])),
        ((["a.jpg", "b.jpg"], ["a.jpg"]), (["train/a", "train/b"], ["val/a"])),
        ((["a.jpg", "a.png"], ["b.jpg"]), (["train/a.jpg", "train/a.png"], ["val/b.jpg"])),
    ],
)
def test_ids_differ_over_all_splits(root: Path, names: tuple[list[str], ...], ids: tuple[list[str], ...]) -> None:
    for split, own in zip(("train", "val"), names, strict=True):
        written(root / f"annotations/instances_{split}.json", document(own), root / split)
    source = COCO()
    assert [source.split(root, split) for split in ("train", "val")] == list(ids)
    assert pictures(root, source, "val") == [f"val/{name}" for name in names[1]]


def test_a_picture_that_is_listed_twice_is_refused(root: Path) -> None:
    twice = document(["a.jpg", "b.jpg"])
    twice["images"].append({**twice["images"][0], "id": 3})
    written(root / "annotations/instances_train.json", twice, root / "train")
    with pytest.raises(DataError, match=r"instances_train.json: lists the picture 'a.jpg' 2 times; each may be listed"):
        COCO().split(root, "train")


def test_a_name_that_no_disk_can_hold_is_of_no_picture(root: Path) -> None:
    written(root / "annotations/instances_train.json", document(["a.jpg", "b" * 300 + ".jpg"]), None)
    with pytest.raises(DataError, match=r"a\.jpg"):
        COCO().split(root, "train")


@pytest.mark.parametrize("name", ["../a.jpg", "/a.jpg"])
def test_a_picture_outside_is_a_fault(root: Path, name: str) -> None:
    found = document(["b.jpg"])
    written(root / "annotations/instances_train.json", found, root / "train")
    found["images"].append({"id": 2, "file_name": name, "width": 40, "height": 30})
    written(root / "annotations/instances_train.json", found, None)
    index = COCO().read_index(root, ["cat"])
    assert "found a path out of the folder of pictures" in str(index.faults[0])


def test_one_file_without_a_split_is_shared_out(root: Path) -> None:
    """TACO's `annotations.json`, Label Studio's `result.json`, CVAT's `instances_default.json`."""
    names = [f"batch_{k % 2}/{k:02d}.jpg" for k in range(18)]
    written(root / "annotations.json", document(names), root)
    source = COCO()
    parts = {split: source.split(root, split) for split in ("train", "val")}
    assert {split: len(part) for split, part in parts.items()} == {"train": 16, "val": 2}
    assert sorted(parts["train"] + parts["val"]) == sorted(name.removesuffix(".jpg") for name in names)
    assert len(source.split(root, "annotations")) == 18
    assert source.has_split(root, "val")
    assert not source.has_split(root, "test")


def test_splits_are_words_of_names_and_pictures_are_found_by_name(root: Path) -> None:
    """Objects365 says `images/v1/patch0/x.jpg` of `train/patch0/x.jpg`, LVIS says addresses."""
    for split, number in (("train", 1), ("val", 2)):
        written(root / f"zhiyuan_objv2_{split}.json", document([f"images/v1/patch{number}/x.jpg"]), None)
        picture(root / split / f"patch{number}/x.jpg")
    source = COCO()
    assert source.split(root, "val") == ["val/patch2/x"]
    assert {part.picture(part.names[0]) for part in source.parts(root)} == {"train/patch1/x.jpg", "val/patch2/x.jpg"}
    content = document(["x.jpg"])
    content["images"][0] |= {"coco_url": "http://images.cocodataset.org/val2017/x.jpg"}
    content["images"][0].pop("file_name")
    lvis = root.parent / "lvis"
    written(lvis / "lvis_v1_train.json", content, None)
    picture(lvis / "val2017/x.jpg")
    assert source.split(lvis, "train") == ["val2017/x"]


def test_splits_that_are_not_there(root: Path) -> None:
    written(root / "annotations/instances_train2017.json", ONE, root / "train2017")
    written(root / "annotations/instances_val2014.json", ONE, None)
    written(root / "annotations/instances_val2017.json", document([]), None)
    source = COCO()
    with pytest.raises(
        DataError, match=r"no split 'tain' \(did you mean 'train2017'\?\); the annotation files are of train2017, val2"
    ):
        source.split(root, "tain")
    with pytest.raises(DataError, match="several splits that may be 'val'"):
        source.split(root, "val")
    with pytest.raises(
        DataError, match=r"found none of its 1 pictures, such as .*a.jpg; dataset.source.images={val2014"
    ):
        source.split(root, "val2014")
    with pytest.raises(DataError, match="the split 'val2017' is empty"):
        source.split(root, "val2017")


@pytest.mark.parametrize(
    ("there", "message"),
    [
        ("JPEGImages/a.jpg", "It looks like PASCAL VOC"),
        ("VOCdevkit/VOC2007/JPEGImages/a.jpg", "It looks like PASCAL VOC"),
        ("labels/train/a.txt", "It looks like YOLO"),
        ("a.txt", r"holds no COCO annotations; it must hold annotations/instances_<split>.json, <split>/_anno"),
    ],
)
def test_another_layout_is_named(root: Path, there: str, message: str) -> None:
    (root / there).parent.mkdir(parents=True)
    (root / there).write_text("")
    with pytest.raises(DataError, match=message):
        COCO().root(root)


def test_the_data_set_may_lie_in_the_folder(root: Path) -> None:
    (root / "other").mkdir(parents=True)
    written(root / "coco/annotations/instances_train2017.json", ONE, None)
    assert COCO().root(root) == root / "coco"


def test_several_data_sets_or_none(root: Path) -> None:
    with pytest.raises(DataError, match="found no folder"):
        COCO().root(root)
    for name in ("one", "two"):
        written(root / name / "annotations/instances_a.json", ONE, None)
    with pytest.raises(DataError, match=r"holds several data sets \(one, two\); name one"):
        COCO().root(root)


@pytest.mark.slow
def test_all_tasks_train_and_are_tested(command: Callable[..., Answer]) -> None:
    square = [[6.0, 6.0, 26.0, 6.0, 26.0, 26.0, 6.0, 26.0]]
    for split, count in (("train", 6), ("valid", 2)):
        things = [thing(k, 3 if k % 2 else 7, (6, 6, 20, 20), square) for k in range(1, count)]
        names = [f"{split}{k}.png" for k in range(count)]
        written(Path("set", split, "_annotations.coco.json"), document(names, things), Path("set", split))
    small = "neck.channels=16 dataset.size=48 dataset.batch_size=4 dataset.workers=0"
    words = ["dataset=coco", "dataset.root=set", "dataset.val_fraction=0.2", *BACKBONE, *small.split()]
    heads = "heads=[classification,detection,semantic,instance]"
    quiet = ["trainer.max_epochs=1", "trainer.progress=false", "insight=[]", "hydra.run.dir=run"]
    status, _, err = command("vjo-train", *words, heads, *quiet)
    assert status == 0, err
    results = json.loads(Path("run/results.json").read_text())
    counts = {"images": 5, "classification": 5, "detection": 5, "semantic": 5, "instance": 5}
    assert results["counts"]["train"] == counts
    assert results["counts"]["test"]["instance"] == 2
    assert OmegaConf.load("run/.hydra/config.yaml").dataset.classes == ["cat", "dog", "bird"]


def test_annotations_may_be_a_mapping(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As LIVECell is published; read in pieces of any length."""
    things = [thing(1), thing(2, 7, (4, 4, 8, 8)), thing(1, 3, (1, 1, 5, 5))]
    found = document(["a.jpg", "b.jpg"], things)
    written(root / "annotations/instances_train.json", found, root / "train")
    wanted = COCO().read_index(root, COCO().class_names(root))
    assert len(wanted.boxes) == 3
    mapped = found | {"annotations": {str(k): one for k, one in enumerate(found["annotations"])}}
    for chunk in (1 << 20, 5, 1):
        monkeypatch.setattr("vjo_train.data.sources.coco.document._CHUNK", chunk)
        (root / "annotations/instances_train.json").write_text(json.dumps(mapped))
        index = COCO().read_index(root, COCO().class_names(root))
        assert index.boxes.tolist() == wanted.boxes.tolist()
        assert index.labels.tolist() == wanted.labels.tolist()
    (root / "annotations/instances_train.json").write_text(json.dumps(mapped).replace('"1": {', "1: {"))
    with pytest.raises(DataError, match=r"broken JSON at annotations\[1\] \(Expecting a name in quotes\)"):
        COCO().read_index(root, ["cat"])


@pytest.mark.parametrize(
    ("boxes", "told"), [([(20, 15, 36, 28)] * 9, True), ([(20, 15, 36, 28)] * 8 + [(9, 9, 4, 4)], False)]
)
def test_boxes_that_may_be_corners_are_told(root: Path, boxes: list[tuple[int, ...]], told: bool) -> None:
    """As of MIDOG, and of many a script; a box that is none as two corners settles it."""
    found = document(["a.jpg"], [thing(1, 3, box, None) for box in boxes])
    written(root / "annotations/instances_train.json", found, root / "train")
    index = COCO().read_index(root, COCO().class_names(root))
    said = index.notes[index.noted == -1, 1].tolist()
    assert any(line.startswith("every bbox is one as x1, y1, x2, y2") for line in said) == told
    assert any(line.endswith("; dataset.source.box=xyxy reads corners") for line in said) == told
    if told:
        index = COCO(box="xyxy").read_index(root, COCO().class_names(root))
        assert index.boxes.tolist() == [list(box) for box in boxes]
        assert not len(index.notes)
