"""COCO's JSON: boxes, classes, masks, semantic maps, splits, and what is wrong with it."""

from __future__ import annotations

import json
import re
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import coco as devkit
from pycocotools import mask as reference

from tests.data.sources.written import SQUARE, document, picture, thing, written
from vjo_train.data.index import Index
from vjo_train.data.sources.coco.source import COCO
from vjo_train.data.sources.opened import load_index
from vjo_train.errors import DataError

SIZE = (30, 40)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "set"


def one_split(root: Path, found: dict[str, Any], split: str = "train2017") -> None:
    written(root / f"annotations/instances_{split}.json", found, root / split)


def read(root: Path, classes: list[str] | None = None, **keys: Any) -> tuple[COCO, Index]:
    source = COCO(**keys)
    return source, source.read_index(root, classes or source.class_names(root))


def label(source: COCO, root: Path, index: Index, name: str, kind: str) -> Any:
    row = int(index.rows([name])[0])
    assert index.labelled[kind][row]
    return source.read(root, index, row, kind)


def test_boxes_and_classes_with_gaps_in_the_ids(root: Path) -> None:
    things = [thing(2, 90, (1.5, 2, 10, 5)), thing(1, 7, (0, 0, 40, 30)), thing(2, 3, (3, 3, 2, 2), iscrowd=1)]
    one_split(root, document(["b.jpg", "a.jpg", "empty.jpg"], things))
    source, index = read(root)
    assert index.classes.tolist() == ["cat", "dog", "bird"]
    assert index.ids.tolist() == ["a", "b", "empty"]
    known = label(source, root, index, "a", "boxes")
    np.testing.assert_array_equal(known.boxes, np.float32([[1.5, 2, 11.5, 7], [3, 3, 5, 5]]))
    assert known.labels.tolist() == [2, 0]
    assert known.difficult.tolist() == [False, True]
    assert len(label(source, root, index, "empty", "boxes")) == 0, "annotated, and nothing there"
    assert label(source, root, index, "b", "classes").count == 3
    assert index.size(0) == SIZE
    assert source.split(root, "train") == ["b", "a", "empty"], "in the order of the file"


def test_objects_of_other_categories_are_not_there(root: Path) -> None:
    one_split(root, document(["a.jpg"], [thing(1, 3), thing(1, 7, outline=None), thing(1, 90, (0, 0, 5, 5))]))
    source, index = read(root, ["bird", "cat"])
    assert label(source, root, index, "a", "boxes").labels.tolist() == [1, 0]
    assert index.labelled["masks"].tolist() == [True], "what is left out needs no outline"
    with pytest.raises(DataError, match=r"'dogs', which no category .* \(did you mean 'dog'\?\); allowed are bird, ca"):
        read(root, ["dogs"])


def outlines(rng: np.random.Generator, count: int) -> list[Any]:
    """Polygons that overlap and leave the picture, of several pieces, and run lengths of both kinds."""
    found: list[Any] = []
    for number in range(count):
        pieces = [np.round(rng.uniform(-5, 45, 2 * rng.integers(3, 8)), number % 4).tolist() for _ in range(2)]
        mask = np.asfortranarray(rng.random(SIZE) < 0.4, np.uint8)
        packed = reference.encode(mask)["counts"].decode()
        columns = mask.ravel(order="F")
        runs = np.diff([0, *(np.flatnonzero(np.diff(columns)) + 1), columns.size]).tolist()
        plain = {"size": list(SIZE), "counts": [0, *runs] if columns[0] else runs}
        found += [pieces[:1], pieces, {"size": list(SIZE), "counts": packed}, plain]
    return found


def expected(outline: Any) -> np.ndarray:
    runs = reference.frPyObjects(outline, *SIZE) if isinstance(outline, list) else [outline]
    if isinstance(outline, dict) and isinstance(outline["counts"], list):
        runs = [reference.frPyObjects(outline, *SIZE)]
    return reference.decode(reference.merge(runs)).astype(bool)


def test_masks_are_those_of_pycocotools(root: Path) -> None:
    drawn = outlines(np.random.default_rng(0), 20)
    one_split(root, document(["a.jpg", "none.jpg"], [thing(1, outline=outline) for outline in drawn]))
    source, index = read(root)
    masks = label(source, root, index, "a", "masks").numpy()
    assert masks.dtype == bool
    np.testing.assert_array_equal(masks, np.stack([expected(outline) for outline in drawn]))
    assert label(source, root, index, "none", "masks").shape == (0, *SIZE)


def test_the_semantic_map_shows_small_objects_over_large_ones_over_crowds(root: Path) -> None:
    def square(low: float, high: float) -> list[list[float]]:
        return [[low, low, high, low, high, high, low, high]]

    things = [
        thing(1, 90, (6, 6, 4, 4), square(6, 10)),
        thing(1, 7, (4, 4, 16, 16), square(4, 20)),
        thing(1, 3, (0, 0, 24, 24), square(0, 24), iscrowd=1),
        thing(1, 3, (30, 0, 5, 5), None, iscrowd=1),
    ]
    one_split(root, document(["a.jpg"], things))
    source, index = read(root)
    wanted = np.zeros(SIZE, np.uint8)
    wanted[:24, :24] = 255
    wanted[:5, 30:35] = 255
    wanted[4:20, 4:20] = 2
    wanted[6:10, 6:10] = 3
    np.testing.assert_array_equal(label(source, root, index, "a", "semantic").numpy(), wanted)


def test_what_has_no_outline_is_not_labelled_for_masks(root: Path) -> None:
    things = [
        *(thing(1), thing(1, outline=[])),
        *(thing(2), thing(2, outline=None, iscrowd=1)),
        *(thing(3, outline=[[1, 1, 5, 5]]), thing(4, outline=None, box=(3, 3, 0, 5))),
    ]
    names = ["half.jpg", "crowd.jpg", "line.jpg", "point.jpg", "empty.jpg"]
    one_split(root, document(names, things))
    one_split(root, document(["v.jpg", "w.jpg"], [thing(1, outline=None)]), "val2017")
    _, index = read(root)
    for kind in ("masks", "semantic"):
        known = dict(zip(index.ids.tolist(), index.labelled[kind].tolist(), strict=True))
        assert known == {
            **{"half": False, "crowd": True, "line": False, "point": True, "empty": True},
            **{"v": False, "w": False},  # this file knows no outlines, so none of its pictures is known to be empty
        }
    assert index.labelled["boxes"].all()


def test_a_file_without_annotations_labels_nothing(root: Path) -> None:
    one_split(root, document(["a.jpg"], [thing(1)]))
    written(root / "annotations/image_info_test.json", document(["t.jpg"], None), root / "test")
    files = {"train": "annotations/instances_train2017.json", "test": "annotations/image_info_test.json"}
    _, index = read(root, annotations=files, images={"train": "train2017"})
    assert not any(flags[index.rows(["t"])[0]] for flags in index.labelled.values())


def test_boxes_that_leave_the_picture_are_clipped(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    boxes = [(-2, -1, 10, 10), (35, 25, 7, 7), (0, 0, 40.0000001, 30), (5, 5, 0, 4), (5, 5, 4, -1), (90, 3, 1, 1)]
    one_split(root, document(["b.jpg", "a.jpg"], [thing(2, box=box) for box in boxes]))
    source = COCO()
    index = load_index(source, root, ["cat"], root / "cache")
    known = label(source, root, index, "a", "boxes")
    np.testing.assert_array_equal(known.boxes, [[0, 0, 8, 9], [35, 25, 40, 30], [0, 0, 40, 30]])
    assert "found and mended: clipped box (2), dropped box (3)." in caplog.text
    assert index.noted.tolist() == [0] * 5
    assert index.notes[0].tolist() == ["clipped box", "found the bbox [-2.0, -1.0, 10.0, 10.0]"]
    assert len(label(source, root, index, "a", "masks")) == 3


@pytest.mark.parametrize(
    ("image", "things", "message"),
    [
        ({"width": None}, [], r"image 'a.jpg': found the width None and the height 30; both must be whole numbers"),
        ({"height": 0}, [], "found the width 40 and the height 0"),
        ({"height": 30.5}, [], "found the width 40 and the height 30.5"),
        ({"id": None}, [], "found the id None; must be a whole number or a text"),
        ({}, [thing(1, 4)], r"annotation 100 has the unknown category id 4; allowed are 3, 7, 90"),
        ({}, [thing(1, None)], "unknown category id None"),
        ({}, [thing(1, box=(1, 2, 3))], r"annotation 100 has the bbox \[1, 2, 3\]; must be \[x, y, width, height\]"),
        ({}, [thing(1, box="abcd")], "has the bbox"),
        ({}, [thing(1, box=(1, 2, "3", 4))], "has the bbox"),
        ({}, [thing(1, box=(1, 2, float("nan"), 4))], r"found the bbox \[1.0, 2.0, nan, 4.0\]; must be finite"),
        ({}, [thing(1, iscrowd=2)], "annotation 100 has iscrowd 2; must be 0 or 1"),
        ({}, [thing(1, outline=[[1, 2, 3, 4, 5, 6, 7]])], "a polygon of 7 numbers; must be pairs"),
        ({}, [thing(1, outline=[1, 2, 3, 4, 5, 6])], r"a polygon 1; must be a list \[x, y"),
        ({}, [thing(1, outline="0 0 1 1")], "a polygon 0 0 1 1; must be a list"),
        ({}, [thing(1, outline=[[1, 2, 3, 4, float("nan"), 6]])], "a polygon leaves it by more than 100000 pixels"),
        ({}, [thing(1, outline=[[1, 2, 3, 4, 1e9, 6]])], "a polygon leaves it by more than"),
        ({}, [thing(1, outline={"size": [40, 30], "counts": [1200]})], r"the size \[40, 30\]; must be \[30, 40\]"),
        ({}, [thing(1, outline={"size": [30, 40], "counts": [1200, 1]})], "1201 pixels; must be 1200"),
        ({}, [thing(1, outline={"size": [30, 40], "counts": [1201, -1]})], "none below 0"),
        ({}, [thing(1, outline={"size": [30, 40], "counts": "99"})], "run lengths of 18 pixels; must be 1200"),
        ({}, [thing(1, outline={"size": [30, 40], "counts": "oo"})], "must be COCO's text"),
        ({}, [thing(1, outline={"size": [30, 40], "counts": 5})], "must be COCO's text, or a list"),
    ],
)
def test_faults_are_those_of_their_image(root: Path, image: dict[str, Any], things: list[Any], message: str) -> None:
    one_split(root, document({"a.jpg": image, "b.jpg": {}}, [*things, thing(2)]))
    source, index = read(root)
    assert index.ids[index.faulty].tolist() == ["a"]
    (fault,) = index.faults.tolist()
    assert fault.startswith(f"{root}/annotations/instances_train2017.json: image 'a.jpg': ")
    assert re.search(message, fault), fault
    assert label(source, root, index, "b", "masks")[0].sum() == 64, "the others are as they are"


def test_an_id_that_two_images_have_is_a_fault_of_the_second(root: Path) -> None:
    one_split(root, document({"a.jpg": {}, "b.jpg": {"id": 1}}, [thing(1)]))
    source, index = read(root)
    assert index.faults.tolist()[0].endswith(
        "'b.jpg': found the id 1, which an image before it has; each must have its own."
    )
    assert len(label(source, root, index, "a", "boxes")) == 1


def test_many_faults_among_many_polygons_find_their_images(root: Path) -> None:
    names = [f"{number:03}.jpg" for number in range(50)]
    far = [[0.0, 0.0, 5.0, 5.0, 1e6, 0.0]]
    things = [thing(1 + k % 50, outline=far if k in (77, 133) else SQUARE * (1 + k % 3)) for k in range(200)]
    one_split(root, document(names, things))
    _, index = read(root)
    assert sorted(index.ids[index.faulty].tolist()) == ["027", "033"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no COCO annotations|found no list 'images'"),
        ("[]", "found no list 'images'; must be COCO's instance JSON, in UTF-8"),
        ('{"images": [', r"broken JSON at images\[0\]"),
        ('{"images": [{"id": 1, "file_name": "a.jpg"}, {"id"', r"broken JSON at images\[1\]"),
        ('{"images": [3]}', r"images\[0\] is '3'; must be an object"),
        ('{"images": [{"id": 1}]}', r"images\[0\] has no file_name"),
        ('{"images": []}', "found no list 'categories'"),
        ('{"images": [], "categories": [{"id": 1}]}', r"categories\[0\] is .*; must have an id and a name"),
        ('{"images": [], "categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}', "id 1 is there twice"),
        ('{"images": [], "categories": []}', "found no categories; dataset.classes must be given"),
    ],
)
def test_broken_files_are_refused_by_name(root: Path, text: str, message: str) -> None:
    path = root / "annotations/instances_a.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(DataError, match=message) as error:
        COCO().class_names(root)
    assert str(root) in str(error.value)


def test_objects_of_no_image_are_refused(root: Path) -> None:
    one_split(root, document(["a.jpg"], [thing(1), thing(9), thing("1")]))
    message = r"instances_train2017.json: annotation 101 is of the image id 9, which 'images' does not list; so are 2"
    with pytest.raises(DataError, match=message):
        read(root)


def test_it_is_read_once_and_again_when_something_changes(root: Path, tmp_path: Path) -> None:
    one_split(
        root, document(["a.jpg", "b.jpg"], [thing(1), thing(2, outline=outlines(np.random.default_rng(1), 1)[2])])
    )
    source, rows = COCO(), np.arange(2)
    first = load_index(source, root, ["cat"], tmp_path / "cache")
    again = load_index(source, root, ["cat"], tmp_path / "cache")
    for name in ("a", "b"):
        one, other = (label(source, root, index, name, "masks") for index in (first, again))
        assert (one == other).all()
    moved = [[5.0, 5.0, 13.0, 5.0, 13.0, 13.0, 5.0, 13.0]]
    one_split(root, document(["a.jpg", "b.jpg"], [thing(1, outline=moved), thing(2)]))
    later = load_index(source, root, ["cat"], tmp_path / "cache")
    assert label(source, root, later, "a", "masks")[0, 5:13, 5:13].all()
    assert first.fingerprint(rows) == again.fingerprint(rows) != later.fingerprint(rows), "other masks, other data"
    stamp = source.stamp(root)
    picture(root / "train2017/a.jpg", 41)
    assert source.stamp(root) != stamp


@pytest.mark.slow
def test_the_index_of_many_images_takes_little_more_than_its_arrays(root: Path) -> None:
    count = 20_000
    polygon = json.dumps(SQUARE * 4)
    path = root / "annotations/instances_train.json"
    path.parent.mkdir(parents=True)
    with open(path, "w") as file:
        file.write('{"images": [')
        file.write(",".join(f'{{"id":{k},"file_name":"{k:012}.jpg","width":40,"height":30}}' for k in range(count)))
        file.write('], "annotations": [')
        for k in range(2 * count):
            file.write("," if k else "")
            file.write(f'{{"id":{k},"image_id":{k % count},"category_id":3,"bbox":[4,4,8,8],"segmentation":{polygon}}}')
        file.write('], "categories": [{"id":3,"name":"cat"}]}')
    tracemalloc.start()
    _, index = read(root)
    kept, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    arrays = [value for field in vars(index).values() for value in (field.values() if type(field) is dict else [field])]
    size = sum(array.nbytes for array in arrays)
    assert len(index) == count
    assert len(index.labels) == 2 * count
    assert kept < 1.5 * size + (8 << 20)
    assert most < 3 * size + (24 << 20), "no objects of Python are kept for the objects of the data set"


def test_real_annotations_are_as_the_reference_reads_them(shared: Path) -> None:
    root = shared / "coco_mini"
    source, index = read(root)
    assert len(index.classes) == 80
    assert not len(index.faulty)
    for split, crowds in (("train", 0), ("val", 1)):
        known = devkit.COCO(root / f"annotations/instances_{split}2017.json")
        numbers = {category["id"]: place for place, category in enumerate(known.loadCats(sorted(known.getCatIds())))}
        for image in known.loadImgs(known.getImgIds()):
            things = known.loadAnns(known.getAnnIds(image["id"]))
            name = image["file_name"][:-4]
            boxes = label(source, root, index, name, "boxes")
            assert boxes.labels.tolist() == [numbers[one["category_id"]] for one in things]
            assert boxes.difficult.tolist() == [bool(one["iscrowd"]) for one in things]
            masks = label(source, root, index, name, "masks").numpy()
            assert masks.shape == (len(things), image["height"], image["width"])
            for mask, one in zip(masks, things, strict=True):
                np.testing.assert_array_equal(mask, known.annToMask(one).astype(bool))
                crowds += one["iscrowd"]
        assert crowds
