"""Key points in COCO's JSON."""

from __future__ import annotations

import json
import re
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import coco as devkit

from tests.data.sources.written import document, thing, written
from vjo_train.data.index import Index
from vjo_train.data.labels.keypoints import ObjectPoints
from vjo_train.data.sources.coco.keypoints import swap
from vjo_train.data.sources.coco.source import COCO
from vjo_train.data.sources.opened import load_index
from vjo_train.errors import DataError

NAMES = ["nose", "left_eye", "right_eye"]
FACE = [10, 12, 2, 0, 0, 0, 20, 14, 1]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "set"


def with_points(found: dict[str, Any], **categories: Any) -> dict[str, Any]:
    """Names of key points, and perhaps a skeleton, for some of the categories."""
    for category in found["categories"]:
        category |= categories.get(category["name"], {})
    return found


CAT = {"keypoints": NAMES, "skeleton": [[1, 2], [1, 3]]}


def write(root: Path, things: list[dict[str, Any]], split: str = "train", **categories: Any) -> dict[str, Any]:
    found = with_points(document(["a.jpg", "b.jpg"], things), **(categories or {"cat": CAT}))
    written(root / f"annotations/instances_{split}.json", found, root / split)
    return found


def read(root: Path, classes: list[str] | None = None, **keys: Any) -> tuple[COCO, Index]:
    source = COCO(**keys)
    return source, source.read_index(root, classes or source.class_names(root))


def points(source: COCO, root: Path, index: Index, name: str) -> ObjectPoints:
    row = int(index.rows([name])[0])
    assert index.labelled["keypoints"][row]
    found: ObjectPoints = source.read(root, index, row, "keypoints")
    return found


def test_points_are_in_the_order_of_the_boxes_and_in_continuous_pixels(root: Path) -> None:
    things = [thing(2, 7), thing(2, 3, keypoints=FACE, area=30.5), thing(1, 3), thing(2, 3, iscrowd=1, area=7)]
    write(root, things)
    source, index = read(root)
    found = points(source, root, index, "b")
    assert found.points.dtype == np.float32
    assert found.points.tolist() == [[[0] * 3] * 3, [[10.5, 12.5, 2], [0, 0, 0], [20.5, 14.5, 1]], [[0] * 3] * 3]
    assert found.areas.tolist() == pytest.approx([0.53 * 64, 30.5, 7]), "of a part of the box where nobody says"
    assert found.swap is not None
    assert found.swap.tolist() == [0, 2, 1]
    assert found.edges.tolist() == [[0, 1], [0, 2]]
    assert not points(source, root, index, "a").points.any(), "labelled, and nothing known"


def test_images_of_a_file_without_key_points_are_not_labelled(root: Path) -> None:
    write(root, [thing(1, 3, keypoints=FACE)])
    written(root / "annotations/instances_val.json", document(["v.jpg"], [thing(1, 3)]), root / "val")
    _, index = read(root)
    assert dict(zip(index.ids.tolist(), index.labelled["keypoints"].tolist(), strict=True)) == {
        "a": True, "b": True, "v": False,
    }  # fmt: skip
    for classes, keys in ((["dog", "bird"], {}), (None, {"keypoints": []})):
        _, index = read(root, classes, **keys)
        assert not index.labelled["keypoints"].any()
        assert "points" not in index.more


def test_a_file_of_key_points_beside_that_of_the_objects_is_read(root: Path) -> None:
    """As COCO has them: by the ids of the annotations, for the images that the second file lists."""
    things = [thing(1, 7, id=5), thing(2, 3, id=9), thing(1, 3, id=7)]
    write(root, things, dog={})
    people = with_points(document(["a.jpg"], [{**thing(1, 3, id=7), "keypoints": FACE, "area": 12}]), cat=CAT)
    written(root / "annotations/person_keypoints_train.json", people, None)
    source, index = read(root)
    assert index.labelled["keypoints"].tolist() == [True, False]
    found = points(source, root, index, "a")
    assert found.points[:, 0].tolist() == [[0, 0, 0], [10.5, 12.5, 2]]
    stamp = source.stamp(root)
    written(root / "annotations/person_keypoints_train.json", with_points(people, cat={"keypoints": NAMES[:1]}), None)
    assert source.stamp(root) != stamp


def test_files_of_key_points_alone_are_a_data_set(root: Path) -> None:
    found = with_points(document(["a.jpg"], [thing(1, 3, keypoints=FACE)]), cat=CAT)
    written(root / "annotations/person_keypoints_train2017.json", found, root / "train2017")
    source, index = read(root)
    assert source.splits(root) == ["train2017"]
    assert points(source, root, index, "a").points.any()


def test_a_head_of_key_points_has_the_classes_that_have_any(root: Path) -> None:
    write(root, [thing(1, 3)])
    assert COCO().class_names_of(root, "keypoints") == ["cat"]
    assert COCO().class_names_of(root, "boxes") == ["cat", "dog", "bird"]
    assert COCO(keypoints=["dog"]).class_names_of(root, "keypoints") == ["dog"]
    written(root / "annotations/instances_train.json", document(["a.jpg"], [thing(1, 3)]), None)
    assert COCO().class_names_of(root, "keypoints") == ["cat", "dog", "bird"]


def test_left_and_right_change_places() -> None:
    assert swap(["leftEar", "rightEar", "L", "hip_Right", "hip_Left", "left_only"]).tolist() == [1, 0, 2, 4, 3, 5]


def test_different_skeletons_are_refused_with_a_remedy(root: Path) -> None:
    dog = {"keypoints": ["nose", "tail"]}
    write(root, [thing(1, 3, keypoints=FACE), thing(1, 7, keypoints=[1, 2, 2, 3, 4, 2])], cat=CAT, dog=dog)
    message = (
        r"'cat' in .* has 3 \(nose, left_eye, right_eye\), 'dog' in .* has 2 \(nose, tail\);"
        r".* dataset\.source\.keypoints=\[cat\] reads those of one category, and \[\] none"
    )
    with pytest.raises(DataError, match=message):
        read(root)
    source, index = read(root, keypoints=["dog"])
    assert points(source, root, index, "a").points[:, 1].tolist() == [[0, 0, 0], [3.5, 4.5, 2]]
    assert read(root, ["dog", "bird"])[1].more["points"].shape == (1, 2, 3), "of classes alone"
    with pytest.raises(DataError, match=r"dataset\.source\.keypoints: found 'dogs' \(did you mean 'dog'\?\); allowed"):
        read(root, keypoints=["dogs"])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (FACE[:6], r"image 'a\.jpg': annotation 100 has the keypoints .*; must be 9 numbers: x, y, and 0, 1 or 2"),
        ([*FACE[:8], 3], r"has the keypoints"),
        ([*FACE[:6], float("nan"), 1, 2], r"has the keypoints .*nan"),
        ([*FACE[:6], "20", 1, 2], r"has the keypoints"),
        ("FACE", r"has the keypoints FACE"),
    ],
)
def test_wrong_points_are_faults_of_their_image(root: Path, wrong: Any, message: str) -> None:
    write(root, [thing(1, 3, keypoints=wrong), thing(2, 3, keypoints=FACE)])
    source, index = read(root)
    assert index.ids[index.faulty].tolist() == ["a"]
    assert re.search(message, index.faults[0])
    assert points(source, root, index, "b").points.any()


@pytest.mark.parametrize(
    ("category", "message"),
    [
        (
            {"keypoints": NAMES, "skeleton": [[1, 4]]},
            r"found the skeleton \[\[1, 4\]\]; must be pairs of points in 1\.\.3",
        ),
        ({"keypoints": NAMES, "skeleton": [1, 2]}, r"found the skeleton \[1, 2\]"),
        ({"keypoints": ["eye", "eye"]}, r"found the keypoints .* of a category; must be a list of different names"),
        ({"keypoints": "nose"}, r"found the keypoints nose"),
    ],
)
def test_wrong_skeletons_are_refused(root: Path, category: Any, message: str) -> None:
    write(root, [thing(1, 3)], cat=category)
    with pytest.raises(DataError, match=message):
        read(root)


def test_annotations_that_cannot_be_told_apart_are_refused(root: Path) -> None:
    write(root, [thing(1, 3, id=5, keypoints=FACE), thing(2, 3, id=5, keypoints=FACE)])
    with pytest.raises(DataError, match=r"the annotation id 5 is there twice; each must have its own"):
        read(root)


def test_key_points_count_in_the_fingerprint_and_outlast_the_cache(root: Path, tmp_path: Path) -> None:
    write(root, [thing(1, 3, keypoints=FACE), thing(2, 3)])
    source = COCO()
    first = load_index(source, root, ["cat"], tmp_path / "cache")
    again = load_index(source, root, ["cat"], tmp_path / "cache")
    one, other = (points(source, root, index, "a") for index in (first, again))
    np.testing.assert_array_equal(one.points, other.points)
    prints = [first.fingerprint(np.array([row])) for row in (0, 1)]
    assert prints == [again.fingerprint(np.array([row])) for row in (0, 1)]
    for changed in ([*FACE[:6], 20, 14, 2], [*FACE[:6], 21, 14, 1]):
        write(root, [thing(1, 3, keypoints=changed), thing(2, 3)])
        later = load_index(source, root, ["cat"], tmp_path / "cache")
        assert later.fingerprint(np.array([0])) != prints[0]
        assert later.fingerprint(np.array([1])) == prints[1], "the other image is as it was"
    write(root, [thing(1, 3, keypoints=FACE), thing(2, 3)], cat={"keypoints": ["nose", "eye", "mouth"]})
    later = load_index(source, root, ["cat"], tmp_path / "cache")
    assert later.fingerprint(np.array([0])) != prints[0], "a mirror image swaps nothing"


@pytest.mark.slow
def test_the_points_of_many_objects_take_little_more_than_their_arrays(root: Path) -> None:
    count, values = 20_000, json.dumps([1, 2, 2] * 17)
    path = root / "annotations/instances_train.json"
    path.parent.mkdir(parents=True)
    with open(path, "w") as file:
        file.write('{"images": [')
        file.write(",".join(f'{{"id":{k},"file_name":"{k:012}.jpg","width":40,"height":30}}' for k in range(count)))
        file.write('], "annotations": [')
        for k in range(count):
            head = f'{{"id":{k},"image_id":{k},"category_id":3,"bbox":[4,4,8,8],"keypoints":{values}}}'
            file.write(f"{',' if k else ''}{head}")
        names = json.dumps([str(k) for k in range(17)])
        file.write(f'], "categories": [{{"id":3,"name":"cat","keypoints":{names}}}]}}')
    tracemalloc.start()
    _, index = read(root)
    kept, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    arrays = [value for field in vars(index).values() for value in (field.values() if type(field) is dict else [field])]
    size = sum(array.nbytes for array in arrays)
    assert index.more["points"].shape == (count, 17, 3)
    assert kept < 1.5 * size + (8 << 20)
    assert most < 3 * size + (24 << 20)


def test_real_key_points_are_as_the_reference_reads_them(shared: Path) -> None:
    root = shared / "coco_mini"
    source, index = read(root)
    assert index.labelled["keypoints"].all()
    seen = 0
    for split in ("train", "val"):
        known = devkit.COCO(root / f"annotations/instances_{split}2017.json")
        people = devkit.COCO(root / f"annotations/person_keypoints_{split}2017.json")
        for image in known.loadImgs(known.getImgIds()):
            found = points(source, root, index, image["file_name"][:-4])
            for row, area, one in zip(
                found.points, found.areas, known.loadAnns(known.getAnnIds(image["id"])), strict=True
            ):
                wanted = np.array(people.anns[one["id"]]["keypoints"] if one["id"] in people.anns else [0] * 51)
                visible = wanted[2::3]
                seen += int((visible > 0).sum())
                np.testing.assert_array_equal(row[:, 2], visible)
                np.testing.assert_array_equal(row[visible > 0, 0], wanted[0::3][visible > 0] + 0.5)
                np.testing.assert_array_equal(row[visible > 0, 1], wanted[1::3][visible > 0] + 0.5)
                if one["category_id"] == 1:
                    assert area == pytest.approx(one["area"])
    assert seen > 1000
