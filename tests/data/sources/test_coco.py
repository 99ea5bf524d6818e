"""COCO's layout: what is found, what becomes of the annotations, and what is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import coco as reference
from pycocotools import mask as rle

from tests.conftest import Answer
from vjo_train.data.index import Index
from vjo_train.data.labels.classes import ShownByObjects
from vjo_train.data.sources.coco.source import COCO
from vjo_train.data.sources.opened import load_index
from vjo_train.errors import DataError

SQUARE = [[4, 4, 20, 4, 20, 20, 4, 20]]
CATEGORIES = [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}, {"id": 90, "name": "bird"}]


def entry(image: int, category: int, box: Sequence[float], **more: Any) -> dict[str, Any]:
    return {"image_id": image, "category_id": category, "bbox": list(box), "iscrowd": 0, **more}


def write(file: Path, folder: Path, names: Sequence[str], annotations: Any = (), categories: Any = CATEGORIES) -> None:
    """Pictures of 40 x 30 pixels and what is annotated on them; image k has the id 10 k."""
    folder.mkdir(parents=True, exist_ok=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), (len(name), 90, 90)).save(folder / name)
    images = [{"id": 10 * k, "file_name": name, "width": 40, "height": 30} for k, name in enumerate(names)]
    content: dict[str, Any] = {"images": images, "categories": categories}
    if annotations is not None:
        content["annotations"] = [{"id": k, **one} for k, one in enumerate(annotations)]
    file.write_text(json.dumps(content))


def load(root: Path, classes: Sequence[str] | None = None, **keys: Any) -> tuple[COCO, Index]:
    source = COCO(**keys)
    return source, load_index(source, root, classes or source.class_names(root), root / "cache")


def test_objects_crowds_and_gaps_in_the_ids(tmp_path: Path) -> None:
    crowd = {"counts": [0, 10, 1190], "size": [30, 40]}
    write(
        tmp_path / "annotations/instances_train2017.json", tmp_path / "train2017", ["b.jpg", "a.png", "c.jpg"],
        [
            entry(0, 7, [4, 4, 16, 16], segmentation=SQUARE),
            entry(10, 3, [0, 0, 40, 30], iscrowd=1, segmentation=crowd),
            entry(0, 90, [6, 6, 5, 5], segmentation=[[6, 6, 11, 6, 11, 11, 6, 11]]),
            entry(10, 7, [1, 1, 3, 3]),
        ],
    )  # fmt: skip
    source, index = load(tmp_path)
    assert source.class_names(tmp_path) == ["cat", "dog", "bird"]
    assert (source.splits(tmp_path), source.split(tmp_path, "train")) == (["train2017"], ["b", "a", "c"])
    assert index.ids.tolist() == ["a", "b", "c"]
    assert index.labelled["boxes"].tolist() == [True] * 3, "an image without objects shows nothing"
    assert index.labelled["masks"].tolist() == [False, True, True], "an object of `a` has no outline"
    assert index.objects(1).labels.tolist() == [1, 2]
    assert index.objects(1).boxes.tolist() == [[4, 4, 20, 20], [6, 6, 11, 11]]
    assert index.objects(0).difficult.tolist() == [True, False]
    assert len(index.objects(2)) == 0
    shown = source.read(tmp_path, index, 1, "classes")
    assert isinstance(shown, ShownByObjects)
    semantic = source.read(tmp_path, index, 1, "semantic").numpy()
    assert (semantic[7:10, 7:10] == 3).all(), "the smaller object lies on top"
    assert semantic[15, 15] == 2
    assert semantic[25, 35] == 0
    assert (index.image(tmp_path, 0).name, index.image_bytes[0] > 0) == ("a.png", True)


def test_masks_are_those_of_cocos_own_tools(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    outlines: list[Any] = [[rng.uniform(0, 30, 14).round(2).tolist()] for _ in range(6)]
    outlines += [[*outlines[0], *outlines[1]], {"counts": [3, 50, 100, 47, 1000], "size": [30, 40]}]
    drawn = (rng.random((30, 40)) < 0.5).astype(np.uint8)
    code = rle.encode(np.asfortranarray(drawn))
    outlines.append({"size": code["size"], "counts": code["counts"].decode()})
    file = tmp_path / "annotations" / "instances_train.json"
    objects = [entry(10 * (k % 2), 3, [1, 1, 9, 9], segmentation=outline) for k, outline in enumerate(outlines)]
    write(file, tmp_path / "train", ["x.jpg", "y.jpg"], objects)
    source, index = load(tmp_path)
    theirs = reference.COCO(str(file))
    for row, image in ((0, 0), (1, 10)):
        wanted = [theirs.annToMask(one) for one in theirs.loadAnns(theirs.getAnnIds(imgIds=[image]))]
        assert np.array_equal(source.read(tmp_path, index, row, "masks").numpy(), np.stack(wanted).astype(bool))


@pytest.mark.parametrize(
    ("file", "folder", "split", "asked"),
    [
        ("annotations/instances_val2017.json", "val2017", "val2017", "val"),
        ("annotations/instances_default.json", "images/default", "default", "default"),
        ("annotations/instances_default.json", "images", "default", "default"),
        ("valid/_annotations.coco.json", "valid", "valid", "val"),
        ("labels.json", "images", "labels", "labels"),
        ("train.json", ".", "train", "training"),
    ],
)
def test_common_layouts_need_no_key(tmp_path: Path, file: str, folder: str, split: str, asked: str) -> None:
    write(tmp_path / file, tmp_path / folder, ["deep/a.jpg"], [entry(0, 3, [1, 1, 5, 5])])
    (tmp_path / "annotations").mkdir(exist_ok=True)
    (tmp_path / "annotations" / "captions_val2017.json").write_text('{"annotations": [], "info": {}}')
    source, index = load(tmp_path)
    assert source.splits(tmp_path) == [split]
    assert source.split(tmp_path, asked) == ["deep/a"]
    assert source.has_split(tmp_path, asked)
    assert not source.has_split(tmp_path, "dev")
    assert index.image(tmp_path, 0).is_file()
    with pytest.raises(DataError, match=f"no split 'dev'; the files are of {split}"):
        source.split(tmp_path, "dev")


def test_keys_name_other_places_and_ids_are_unique_over_splits(tmp_path: Path) -> None:
    for split in ("one", "two"):
        write(tmp_path / f"labels/{split}.json", tmp_path / f"p_{split}", ["a.jpg"], None if split == "two" else [])
    annotations = {"train": "labels/one.json", "test": "labels/two.json"}
    source, index = load(tmp_path, annotations=annotations, images={"train": "p_one", "test": "p_two"})
    assert index.ids.tolist() == ["test/a", "train/a"]
    assert source.split(tmp_path, "test") == ["test/a"]
    assert index.labelled["boxes"].tolist() == [False, True], "a file without annotations labels nothing"
    with pytest.raises(
        DataError, match=r"one\.json: found none of its pictures, such as a\.jpg.*dataset\.source\.images"
    ):
        COCO(annotations=annotations).splits(tmp_path)


def test_classes_choose_categories_and_boxes_are_cut(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    write(tmp_path / "train.json", tmp_path, ["a.jpg"], [
        entry(0, 7, [-5, -5, 20, 20]), entry(0, 3, [1, 1, 5, 5]), entry(0, 7, [50, 5, 9, 9]), entry(0, 7, [2, 2, 0, 4]),
    ])  # fmt: skip
    _, index = load(tmp_path, ["dog"])
    assert index.objects(0).boxes.tolist() == [[0, 0, 15, 15]]
    assert "1 boxes were cut to their picture, 2 without area were left out" in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["annotations"][0].update(category_id=8), r"annotation 0: found the category_id 8; .* are 3\.\.90"),
        (lambda d: d["annotations"][0].update(bbox=[1, 2]), r"found the bbox \[1, 2\]; must be \[x, y, width"),
        (lambda d: d["images"][0].pop("width"), r"a\.jpg: found the size None x 30; both must be whole numbers"),
        (lambda d: d["images"][1].update(id=0), "found the image id 0 twice"),
    ],
)  # fmt: skip
def test_a_broken_entry_is_the_fault_of_its_image(tmp_path: Path, change: Callable[[Any], Any], message: str) -> None:
    file = tmp_path / "train.json"
    write(file, tmp_path, ["a.jpg", "b.jpg"], [entry(0, 3, [1, 1, 5, 5])])
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    _, index = load(tmp_path)
    assert len(index.faulty) == 1
    assert re.search(message, str(index.faults[0]))


@pytest.mark.parametrize("text", ["", "[]", '{"images": [', '{"images" 3}', "\xff"])
def test_what_is_no_json_is_named(tmp_path: Path, text: str) -> None:
    write(tmp_path / "instances_train.json", tmp_path, ["a.jpg"])
    (tmp_path / "instances_train.json").write_text(text, encoding="latin-1")
    with pytest.raises(DataError, match=r"instances_train\.json"):
        load(tmp_path, ["cat"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="found no COCO annotations"):
        COCO().root(tmp_path / "empty")


def test_real_annotations(shared: Path) -> None:
    root = shared / "coco_mini"
    source = COCO()
    found = source.read_index(root, source.class_names(root))
    assert (len(found), len(found.labels), len(found.faulty)) == (159, 1363, 0)
    theirs = reference.COCO(str(root / "annotations" / "instances_val2017.json"))
    for key, image in list(theirs.imgs.items())[:20]:
        row = int(found.rows([Path(image["file_name"]).stem])[0])
        known = theirs.loadAnns(theirs.getAnnIds(imgIds=[key]))
        wanted = np.array([theirs.annToMask(one) for one in known], bool).reshape(-1, image["height"], image["width"])
        assert np.array_equal(source.read(root, found, row, "masks").numpy(), wanted)


@pytest.mark.slow
def test_four_heads_train_on_it(command: Callable[..., Answer], tmp_path: Path) -> None:
    root = tmp_path / "set"
    for split in ("train", "val"):
        write(
            root / f"annotations/instances_{split}2017.json",
            root / f"{split}2017",
            [f"{split}{k}.jpg" for k in range(5)],
            [entry(10 * k, 3 + 4 * (k % 2), [4, 4, 16, 16], segmentation=SQUARE) for k in range(4)],
        )  # fmt: skip
    words = ["dataset=coco", f"dataset.root={root}", "dataset.size=32", "dataset.batch_size=4", "dataset.workers=0"]
    words += ["heads=[classification,detection,semantic,instance]", "backbone=resnet10", "neck.channels=16"]
    words += ["heads.detection.depth=1", "heads.semantic.width=16", "heads.instance.hidden=16"]
    words += ["heads.instance.mask_depth=1", "trainer.max_epochs=1", "trainer.progress=false", "insight=[]"]
    words += ["hydra.run.dir=run", "dataset.val_fraction=0.2"]
    assert command("vjo-train", *words)[0] == 0
    results = json.loads(Path("run/results.json").read_text())
    assert results["counts"]["test"] == {
        "images": 5, "classification": 5, "detection": 5, "semantic": 5, "instance": 5
    }  # fmt: skip
    assert set(results["per_class"]["test/instance/ap_r50"]) == {"cat", "dog", "bird"}
