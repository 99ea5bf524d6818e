"""Keypoints in COCO's JSON: in the file of the objects, or in one of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import coco as reference

from vjo_train.data.placement import Unmoved
from vjo_train.data.sources.coco.points import mirrored
from vjo_train.data.sources.coco.source import COCO
from vjo_train.errors import DataError

NAMES = ["nose", "left_eye", "right_eye"]
CATEGORIES = [{"id": 1, "name": "person", "keypoints": NAMES, "skeleton": [[1, 2]]}, {"id": 2, "name": "kite"}]


def annotation(number: int, image: int, category: int, points: list[float] | None = None) -> dict[str, Any]:
    known = {"id": number, "image_id": image, "category_id": category, "bbox": [number, 2, 8, 9], "iscrowd": 0}
    return known if points is None else known | {"keypoints": points, "num_keypoints": 1}


def write(root: Path, annotations: list[dict[str, Any]], own: list[dict[str, Any]] | None = None, **more: Any) -> None:
    """Two pictures, whose ids are in the other order than their names."""
    (root / "annotations").mkdir(parents=True)
    (root / "train").mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (40, 30)).save(root / "train" / f"{name}.jpg")
    images = [{"id": k, "file_name": f"{name}.jpg", "height": 30, "width": 40} for k, name in ((1, "b"), (2, "a"))]
    plain = [{key: value for key, value in one.items() if key != "keypoints"} for one in CATEGORIES]
    content = {"images": images, "annotations": annotations, "categories": CATEGORIES if own is None else plain}
    (root / "annotations" / "instances_train.json").write_text(json.dumps(content | more))
    if own is not None:
        content = {"images": images, "annotations": own, "categories": CATEGORIES[:1]}
        (root / "annotations" / "person_keypoints_train.json").write_text(json.dumps(content))


PEOPLE = [annotation(11, 1, 1, [12, 3, 2, 13, 4, 1, 0, 0, 0]), annotation(12, 2, 1, [14, 5, 2, 15, 6, 2, 16, 7, 2])]


@pytest.mark.parametrize("apart", [False, True])
def test_points_belong_to_their_objects(tmp_path: Path, apart: bool) -> None:
    kite = annotation(5, 2, 2)
    bare = [{key: value for key, value in one.items() if key != "keypoints"} for one in PEOPLE]
    write(tmp_path, [kite, *(bare if apart else PEOPLE)], PEOPLE[::-1] if apart else None)
    source = COCO()
    index = source.read_index(tmp_path, ["person", "kite"])
    assert not len(index.faulty)
    raw = [source.read(tmp_path, index, row, "keypoints") for row in (0, 1)]
    assert raw[0].points.tolist() == [[[0] * 3] * 3, [[14, 5, 2], [15, 6, 2], [16, 7, 2]]], "a kite has none"
    assert raw[1].points.tolist() == [[[12, 3, 2], [13, 4, 1], [0, 0, 0]]]
    placed = source.kind("keypoints").place(raw[1], Unmoved((30, 40), 1))
    assert placed.tolist() == raw[1].points.tolist()
    assert raw[0].swapped.tolist() == [0, 2, 1]
    other = COCO().read_index(tmp_path, ["person", "kite"])
    other.more["point_digests"][0] += 1
    assert index.fingerprint(np.array([0])) != other.fingerprint(np.array([0])), "points count"


def test_without_points_nothing_is_labelled(tmp_path: Path) -> None:
    write(tmp_path, [annotation(5, 2, 2)])
    index = COCO().read_index(tmp_path, ["kite"])
    assert not index.labelled["keypoints"].any()
    assert "points" not in index.more


@pytest.mark.parametrize(
    ("points", "what"), [([1, 2], "keypoints of 2 numbers; must be 9"), ([1, 2, 3] * 3, "must be x, y and 0, 1 or 2")]
)
def test_what_is_no_list_of_points_is_the_fault_of_its_image(tmp_path: Path, points: list[int], what: str) -> None:
    write(tmp_path, [annotation(11, 1, 1, points)])
    index = COCO().read_index(tmp_path, ["person"])
    assert what in str(index.faults[0])


def test_two_skeletons_are_refused(tmp_path: Path) -> None:
    dog = {"id": 3, "name": "dog", "keypoints": ["tail"]}
    write(tmp_path, [], categories=[*CATEGORIES, dog])
    with pytest.raises(DataError, match="dog has 1 keypoints, and person 3 of other names"):
        COCO().read_index(tmp_path, ["person", "dog"])
    assert not len(COCO().read_index(tmp_path, ["dog"]).faulty)


def test_sides_change_in_a_mirror() -> None:
    assert mirrored(["nose", "Left Ear", "tail", "Right Ear", "left"]).tolist() == [0, 3, 2, 1, 4]


def test_real_people_are_as_the_reference_reads_them(shared: Path) -> None:
    root = shared / "coco_mini"
    source = COCO()
    index = source.read_index(root, source.class_names(root))
    known = reference.COCO(root / "annotations/person_keypoints_train2017.json")
    seen = 0
    for image in known.loadImgs(known.getImgIds()):
        (row,) = index.rows([Path(image["file_name"]).stem])
        raw = source.read(root, index, int(row), "keypoints").points
        wanted = [
            one["keypoints"] for one in known.loadAnns(known.getAnnIds(imgIds=[image["id"]])) if any(one["keypoints"])
        ]
        found = [points for points in raw.reshape(len(raw), -1).tolist() if any(points)]
        assert sorted(found) == sorted(wanted)
        seen += len(found)
    assert seen > 50
