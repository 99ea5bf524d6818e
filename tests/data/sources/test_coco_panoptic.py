"""COCO's panoptic format: read as it is written, and worth a panoptic quality of one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from vjo_train.data.labels.semantic import Semantic
from vjo_train.data.placement import Unmoved
from vjo_train.data.sources.coco.panoptic import CocoPanoptic
from vjo_train.data.sources.guess.folders import looks_like
from vjo_train.data.sources.opened import load_index
from vjo_train.errors import DataError
from vjo_train.heads.panoptic.metrics import PanopticMetrics
from vjo_train.heads.panoptic.segments import Segments
from vjo_train.types import Boxes, Target

CATEGORIES = [
    {"id": 7, "name": "dog", "isthing": 1},
    {"id": 90, "name": "grass", "isthing": 0},
    {"id": 3, "name": "cat", "isthing": 1},
]


def write(root: Path, **changes: Any) -> None:
    """One picture of a cat (id 300), a crowd of dogs (id 70000) and grass (id 5); a corner is of none."""
    ids = np.full((6, 8), 5)
    ids[:3, :3], ids[:2, 5:], ids[5, 7] = 300, 70000, 0
    folder = root / "annotations" / "panoptic_train2017"
    folder.mkdir(parents=True)
    Image.fromarray(np.stack([ids % 256, ids // 256 % 256, ids // 65536], -1).astype(np.uint8)).save(folder / "a.png")
    (root / "train2017").mkdir()
    Image.new("RGB", (8, 6)).save(root / "train2017" / "a.jpg")
    segments = [
        {"id": 5, "category_id": 90, "bbox": [0, 0, 8, 6]},
        {"id": 300, "category_id": 3, "bbox": [0, 0, 3, 3], "iscrowd": 0},
        {"id": 70000, "category_id": 7, "bbox": [5, 0, 3, 2], "iscrowd": 1},
    ]
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "height": 6, "width": 8}],
        "annotations": [{"image_id": 1, "file_name": "a.png", "segments_info": segments}],
        "categories": CATEGORIES,
    }
    (root / "annotations" / "panoptic_train2017.json").write_text(json.dumps(content | changes))


def test_things_and_stuff(tmp_path: Path) -> None:
    write(tmp_path)
    source = CocoPanoptic()
    assert source.class_names(tmp_path) == ["cat", "dog", "grass"]
    assert source.class_names_of(tmp_path, "boxes") == ["cat", "dog"]
    assert source.class_names_of(tmp_path, "semantic") == ["cat", "dog", "grass"]
    assert source.split(tmp_path, "train") == ["a"]
    index = source.read_index(tmp_path, ["cat", "dog", "grass"])
    objects = index.objects(0)
    assert objects.boxes.tolist() == [[0, 0, 3, 3], [5, 0, 8, 2]]
    assert (objects.labels.tolist(), objects.difficult.tolist()) == ([0, 1], [False, True])
    semantic, masks = (source.read(tmp_path, index, 0, kind) for kind in ("semantic", "masks"))
    assert (semantic[0, 0], semantic[0, 7], semantic[4, 4], semantic[5, 7]) == (1, 255, 3, 255)
    assert (masks[0, 0], masks[0, 7], masks[4, 4]) == (1, 0, 0)
    shown = source.kind("classes").place(source.read(tmp_path, index, 0, "classes"), Unmoved((6, 8), 2))
    assert shown.tolist() == [1, 0, 0], "a crowd and stuff count neither way"


def test_of_some_classes_the_rest_is_background(tmp_path: Path) -> None:
    write(tmp_path)
    index = CocoPanoptic().read_index(tmp_path, ["grass"])
    assert len(index.labels) == 0
    semantic = CocoPanoptic().read(tmp_path, index, 0, "semantic")
    assert (semantic[0, 0], semantic[0, 7], semantic[4, 4]) == (0, 0, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"categories": [{"id": 1, "name": "cat"}]}, "categories.0. is .* isthing 0 or 1"),
        ({"annotations": [{"image_id": 9, "file_name": "a.png", "segments_info": []}]}, "annotations.0. is of .* 9"),
        ({"annotations": [{"image_id": 1, "segments_info": []}]}, "with file_name and segments_info"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    write(tmp_path, **changes)
    with pytest.raises(DataError, match=message):
        CocoPanoptic().read_index(tmp_path, ["cat"])


def test_a_segment_of_no_category_is_the_fault_of_its_image(tmp_path: Path) -> None:
    write(tmp_path, annotations=[{"image_id": 1, "file_name": "a.png", "segments_info": [{"id": 5, "category_id": 8}]}])
    index = CocoPanoptic().read_index(tmp_path, ["cat"])
    assert re.search("image '?a.jpg'?: has the segment", str(index.faults[0]))


def test_it_is_recognised(tmp_path: Path) -> None:
    write(tmp_path)
    assert f"dataset=coco_panoptic dataset.root={tmp_path} reads it" in looks_like(tmp_path)


def test_real_segments_are_worth_one(shared: Path, tmp_path: Path) -> None:
    """The truth as a prediction, of which every pixel belongs to the segment that the file says."""
    files = {name: f"panoptic_segmentation/annotations/panoptic_{name}2017.json" for name in ("train", "val")}
    source = CocoPanoptic(annotations=files, images={name: f"images/{name}2017" for name in files})
    root = shared / "coco128"
    names = source.class_names(root)
    index = load_index(source, root, names, tmp_path)
    assert (len(names), len(index), len(index.faulty)) == (133, 200, 0)
    things = torch.tensor([name in source.class_names_of(root, "boxes") for name in names])
    metrics = PanopticMetrics(things, background=False)
    for row in range(0, len(index), 25):
        objects, where = index.objects(row), Unmoved(index.size(row), len(index.objects(row)))
        raw = {kind: source.read(root, index, row, kind) for kind in ("semantic", "masks")}
        boxes = Boxes(*(torch.from_numpy(value) for value in (objects.boxes, objects.labels, objects.difficult)))
        masks = source.kind("masks").place(raw["masks"], where)
        target = Target(
            index.size(row), {"boxes": boxes, "masks": masks, "semantic": Semantic().place(raw["semantic"], where)}
        )
        metrics.update([_as_segments(raw["semantic"], raw["masks"], boxes, things)], [target])
    found = metrics.compute()
    assert [float(found[name]) for name in ("pq", "sq", "rq", "pq_things", "pq_stuff")] == pytest.approx(
        [1] * 5, abs=1e-6
    )


def _as_segments(semantic: torch.Tensor, masks: torch.Tensor, boxes: Boxes, things: torch.Tensor) -> Segments:
    ids = masks.int().clone()
    labels = boxes.labels.tolist()
    for label in range(len(things)):
        own = (semantic == label + 1) & (ids == 0)
        if not things[label] and own.any():
            labels.append(label)
            ids[own] = len(labels)
    count = len(labels)
    return Segments(ids, torch.tensor(labels), torch.ones(count), torch.arange(count) < len(boxes))
