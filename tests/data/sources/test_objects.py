"""Objects as annotation tools and public sets have them: the same pictures are read alike, whatever wrote them."""

from __future__ import annotations

import base64
import io
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.data.sources import driving, exports
from tests.data.sources.exports import BOXES, OUTLINES, Scene, Writer
from tests.data.sources.written import picture
from vjo_train.data.index import Index
from vjo_train.data.sources.coco.source import COCO
from vjo_train.data.sources.objects.aperio import Aperio
from vjo_train.data.sources.objects.bbgt import BbGt
from vjo_train.data.sources.objects.bdd100k import BDD100K
from vjo_train.data.sources.objects.box_lists import BoxLists
from vjo_train.data.sources.objects.box_table import BoxTable
from vjo_train.data.sources.objects.createml import CreateML
from vjo_train.data.sources.objects.cvat import CVAT
from vjo_train.data.sources.objects.kitti import KITTI
from vjo_train.data.sources.objects.label_studio import LabelStudio
from vjo_train.data.sources.objects.label_studio_runs import unpacked
from vjo_train.data.sources.objects.labelme import LabelMe
from vjo_train.data.sources.objects.nuimages import NuImages
from vjo_train.data.sources.objects.pascal_text import PascalText
from vjo_train.data.sources.objects.source import ObjectFiles
from vjo_train.data.sources.objects.supervisely import Supervisely
from vjo_train.data.sources.objects.via import VIA
from vjo_train.data.sources.opened import load_index
from vjo_train.errors import DataError

OUTLINED: list[tuple[Writer, ObjectFiles]] = [
    (exports.labelme, LabelMe()),
    (exports.cvat, CVAT()),
    (exports.via, VIA()),
    (exports.via_csv, VIA()),
    (exports.bdd100k, BDD100K()),
    (exports.supervisely, Supervisely()),
    (exports.label_studio, LabelStudio()),
    (driving.nuimages, NuImages()),
]
BOXED: list[tuple[Writer, ObjectFiles]] = [
    *OUTLINED,
    (exports.tensorflow, BoxTable()),
    (exports.open_images, BoxTable()),
    (exports.json_rows, BoxTable()),
    (exports.retinanet, BoxTable()),
    (exports.lists, BoxTable()),
    (exports.kitti, KITTI()),
    (exports.bdd_first, BDD100K()),
    (exports.createml, CreateML()),
    (driving.tt100k, BoxLists()),
    (driving.bosch, BoxLists()),
    (exports.named_boxes, BoxLists()),
    (driving.bbgt, BbGt()),
    (driving.pascal_text, PascalText()),
]


def name_of(value: Any) -> str | None:
    return getattr(value, "__name__", None) or ""


def load(source: Any, root: Path, *classes: str) -> Index:
    found = source.root(root)
    return load_index(source, found, list(classes) or source.class_names(found), root.parent / "cache")


def labels(source: Any, root: Path) -> tuple[list[str], dict[str, Any]]:
    """The class names, and split/stem of every picture -> all that is known of it."""
    index = load(source, root)
    assert not index.faults.tolist()
    known = {}
    for split in ("train", "val", "test"):
        for row in index.rows(source.split(root, split)):
            objects = index.objects(row)
            kinds = [kind.name for kind in source.kinds if index.labelled[kind.name][row] and kind.name != "keypoints"]
            maps = {kind: source.read(root, index, row, kind) for kind in kinds if kind in ("semantic", "masks")}
            boxes = (objects.boxes.tobytes(), objects.labels.tobytes(), objects.difficult.tobytes())
            pixels = {kind: (tuple(value.shape), value.numpy().tobytes()) for kind, value in maps.items()}
            known[f"{split}/{Path(str(index.images[row])).stem}"] = (index.size(row), sorted(kinds), boxes, pixels)
    return index.classes.tolist(), known


def alike(write: Writer, source: ObjectFiles, scene: Scene, folder: Path) -> None:
    write(folder / "other", scene)
    exports.coco(folder / "coco", scene)
    wanted, found = labels(COCO(), folder / "coco"), labels(source, folder / "other")
    assert len(wanted[1]) == len(scene)
    assert found == wanted


@pytest.mark.parametrize(("write", "source"), [*OUTLINED, (exports.aperio, Aperio())], ids=name_of)
def test_outlines_are_those_of_coco_bit_for_bit(write: Writer, source: ObjectFiles, tmp_path: Path) -> None:
    alike(write, source, OUTLINES, tmp_path)


@pytest.mark.parametrize(("write", "source"), BOXED, ids=name_of)
def test_boxes_are_those_of_coco_bit_for_bit(write: Writer, source: ObjectFiles, tmp_path: Path) -> None:
    """A picture without objects, and a box that leaves its picture, are among them."""
    scene = {name: things for name, things in BOXES.items() if write is not exports.open_images or name != "val/c.jpg"}
    if write is exports.open_images:  # shares beyond 1 would be pixels
        scene["val/c.jpg"] = BOXES["val/c.jpg"][:1]
    alike(write, source, scene, tmp_path)


def test_without_splits_pictures_are_shared_out(tmp_path: Path) -> None:
    root = tmp_path / "set"
    rows = [f"a{k}.jpg,4,4,20,20,cat" for k in range(10)]
    exports.write(root / "annotations.csv", "\n".join(rows))
    for k in range(11):
        picture(root / f"images/a{k}.jpg")
    source = BoxTable()
    index = load(source, root)
    parts = {split: source.split(root, split) for split in ("train", "val", "test")}
    assert {split: len(part) for split, part in parts.items()} == {"train": 8, "val": 1, "test": 1}
    assert source.splits(root) == ["train", "test", "trainval"]
    said = index.notes[index.noted < 0, 1].tolist()
    assert said[0].endswith("by a hash of the paths: train (8), val (1), test (1)")
    assert said[1] == "1 pictures are in no file of objects, and left out"


def test_links_to_folders_outside_are_followed_once(tmp_path: Path) -> None:
    """Pictures on another disk, whose folder has a link to itself; a second link to them; one to a folder inside."""
    root, disk = tmp_path / "set", tmp_path / "disk"
    picture(disk / "a.jpg")
    exports.write(root / "own/boxes.csv", "filename,xmin,ymin,xmax,ymax,class\na.jpg,1,1,9,9,cat\n")
    for link, to in (
        (root / "images", disk),
        (root / "more", disk),
        (root / "inner", root / "own"),
        (disk / "b", disk),
    ):
        link.symlink_to(to, target_is_directory=True)
    index = load(BoxTable(), root)
    assert index.images.tolist() == ["images/a.jpg"]
    assert not index.faults.tolist()


def test_pictures_in_no_split_are_told(tmp_path: Path) -> None:
    """A column of splits that is blank for one picture."""
    root = tmp_path / "set"
    rows = [f"a{k}.jpg,4,4,20,20,cat,{('train', 'val', '')[min(k, 2)]}" for k in range(3)]
    exports.write(root / "a.csv", "filename,xmin,ymin,xmax,ymax,class,split\n" + "\n".join(rows))
    for k in range(3):
        picture(root / f"a{k}.jpg")
    index = load(BoxTable(), root)
    assert index.notes[index.noted < 0, 1].tolist()[0].startswith("1 pictures are in no split, and so all: shared out")


@pytest.mark.parametrize(("flags", "difficult"), [("TRUE,0", True), ("0,1", True), ("no,0.0", False)])
def test_one_of_several_columns_says_that_a_box_is_ignored(flags: str, difficult: bool, tmp_path: Path) -> None:
    root = tmp_path / "set"
    picture(root / "a.jpg")
    exports.write(root / "a.csv", f"filename,xmin,ymin,xmax,ymax,class,IsCrowd,difficult\na.jpg,1,1,9,9,cat,{flags}\n")
    assert load(BoxTable(), root).difficult.tolist() == [difficult]


def test_where_all_files_are_broken_the_first_is_named(tmp_path: Path) -> None:
    for name in "ab":
        shape = {"label": "cat", "shape_type": "polygon", "points": [[1, "x"]]}
        exports.write(tmp_path / f"set/{name}.json", json.dumps({"imagePath": f"{name}.jpg", "shapes": [shape]}))
        picture(tmp_path / f"set/{name}.jpg")
    with pytest.raises(DataError, match=r"found no class, since 2 pictures are faulty\. .*a\.json"):
        LabelMe().class_names(tmp_path / "set")


def test_a_table_in_json_is_a_list_of_rows(tmp_path: Path) -> None:
    root, file = tmp_path / "set", tmp_path / "set/BOXES.JSON"
    picture(root / "a.jpg")
    row = {"filename": "a.jpg", "label": "cat", "bbox": [1, 2, 3, 4], "crowd": None}
    exports.write(file, "\ufeff" + json.dumps([row]))
    index = load(BoxTable(), root)
    assert (index.boxes.tolist(), index.classes.tolist()) == ([[1, 2, 4, 6]], ["cat"])
    for wrong, said in (
        ({"a": [row]}, "found dict; must be a list of rows; .* dataset=box_lists"),
        ([row, 1], "row 2: found 1; must be an object of columns and values"),
        ([{"filename": "a.jpg"}], "found the columns filename; must have a picture and a box"),
    ):
        exports.write(file, json.dumps(wrong))
        with pytest.raises(DataError, match=rf"BOXES\.JSON: {said}"):
            load(BoxTable(file="*.JSON"), root, "cat")
    exports.write(file, json.dumps([row, row | {"bbox": [1, "?", 2, 2]}]))
    assert "BOXES.JSON: row 2: found the box (1, '?', 2, 2)" in load(BoxTable(), root, "cat").faults[0]


def test_one_split_alone_is_shared_out_too(tmp_path: Path) -> None:
    """Contests have `train.csv`, and no labels of the test."""
    rows = [f"a{k},40,30,'[1, 2, 3, 4]'" for k in range(10)]
    exports.write(tmp_path / "set/train.csv", "image_id,width,height,bbox\n" + "\n".join(rows).replace("'", '"'))
    for k in range(10):
        picture(tmp_path / f"set/train/a{k}.jpg")
    source = BoxTable()
    with pytest.raises(DataError, match=r"its objects name no class; dataset\.classes=\[NAME\] gives them one"):
        source.class_names(tmp_path / "set")
    index = load(source, tmp_path / "set", "wheat")
    assert len(source.split(tmp_path / "set", "train")) == 8
    assert index.boxes[0].tolist() == [1, 2, 4, 6]
    assert "an object without a class; there are 2" in load(source, tmp_path / "set", "a", "b").faults[0]


def test_a_target_of_0_is_a_picture_without_objects(tmp_path: Path) -> None:
    """RSNA's table; other columns of public sets."""
    root = tmp_path / "set"
    exports.write(root / "labels.csv", "patientId,x,y,width,height,Target\na,1,2,3,4,1\nb,,,,,0\n")
    for name in "abc":
        picture(root / f"images/{name}.png")
    index = load(BoxTable(), root, "pneumonia")
    assert [len(index.objects(row)) for row in range(2)] == [1, 0]
    assert index.labelled["boxes"].all()
    for header in (
        "Image Index,Finding Label,Bbox [x,y,w,h],,,",
        "Filename;Annotation tag;Upper left corner X;Upper left corner Y;Lower right corner X;Lower right corner Y",
        "Width,Height,Roi.X1,Roi.Y1,Roi.X2,Roi.Y2,ClassId,Path",
    ):
        wide = header.replace(";", ",").startswith("Width")
        row = (
            "40,30,1,2,4,6,stop,a.png"
            if wide
            else "a.png,stop,1,2,3,4,,,"
            if "Bbox" in header
            else "a.png;stop;1;2;4;6"
        )
        exports.write(root / "labels.csv", f"{header}\n{row}\n")
        index = load(BoxTable(), root)
        assert (index.classes.tolist(), index.boxes.tolist()) == (["stop"], [[1, 2, 4, 6]]), header


def test_pictures_are_found_wherever_they_lie(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for place in ("one/a.jpg", "two/a.jpg", "two/b.PNG", "c.jpg"):
        picture(root / place)
    rows = ["C:\\data\\two\\a.jpg", "/home/me/b.png", "c", "nowhere.jpg", "a"]
    table = "file,class,xmin,ymin,xmax,ymax\n" + "".join(f"{name},cat,1,2,3,4\n" for name in rows)
    exports.write(root / "boxes.csv", table)
    index = load(BoxTable(), root)
    assert {"two/a.jpg", "two/b.PNG", "c.jpg"} <= {*index.images.tolist()}
    assert sorted(index.faults.tolist()) == [
        f"{root}/boxes.csv: 'a' may be one/a.jpg or two/a.jpg; must be clear from its path.",
        f"{root}/boxes.csv: found no picture 'nowhere.jpg' below {root}.",
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a.jpg,cat,1,2,x,4", r"boxes\.csv: line 2: found the box \(1, 2, x, 4\); must be four numbers"),
        ("a.jpg,cat,1,2,inf,4", r"line 2: found the box \(1, 2, inf, 4\)"),
        ("a.jpg,cta,1,2,3,4", r"line 2: unknown class 'cta' \(did you mean 'cat'\?\)"),
    ],
)
def test_a_wrong_row_is_named(row: str, message: str, tmp_path: Path) -> None:
    picture(tmp_path / "set/a.jpg")
    exports.write(tmp_path / "set/boxes.csv", f"file,class,xmin,ymin,xmax,ymax\n{row}\n")
    with pytest.raises(DataError, match=message):
        raise DataError(str(load(BoxTable(), tmp_path / "set", "cat").faults[0]))


def test_shapes_of_labelme(tmp_path: Path) -> None:
    root = tmp_path / "set"
    picture(root / "a.jpg")
    buffer = io.BytesIO()
    Image.fromarray(np.array([[255, 0, 255], [0, 255, 0]], np.uint8)).save(buffer, "PNG")
    mask = base64.b64encode(buffer.getvalue()).decode()
    shapes: list[dict[str, Any]] = [
        {"label": "cat", "points": [[1, 1], [5, 1], [5, 5]], "group_id": 1, "shape_type": "polygon"},
        {"label": "cat", "points": [[11, 1], [15, 1], [15, 5]], "group_id": 1, "shape_type": "polygon"},
        {"label": "dog", "points": [[20, 15], [20, 20]], "group_id": None, "shape_type": "circle"},
        {"label": "dog", "points": [[30, 8], [33, 10]], "group_id": None, "shape_type": "mask", "mask": mask},
        {"label": "cat", "points": [[30, 8]], "group_id": None, "shape_type": "point"},
    ]
    content = {"shapes": shapes, "imagePath": "a.jpg", "imageHeight": 30, "imageWidth": 40}
    exports.write(root / "a.json", content)
    source = LabelMe()
    index = load(source, root)
    np.testing.assert_allclose(index.boxes, [[1, 1, 15, 5], [15, 10, 25, 20], [30, 8, 33, 10]], atol=1e-4)
    masks = source.read(root, index, 0, "masks")
    assert 60 <= masks[1].sum() <= 90, "pi 25 pixels"
    assert torch.nonzero(masks[2]).tolist() == [[8, 30], [8, 32], [9, 31]]
    assert index.notes[index.noted == 0].tolist() == [["shape left out", "shape 5 (cat): a point"]]
    for wrong, message in (
        ({"points": [["x", 1]]}, r"a\.json: shape 1: found the points \[\['x', 1\]\]; must be pairs of numbers"),
        ({"label": 3}, r"shape 1: found no label"),
        ({"shape_type": "cube"}, r"shape 1: found the shape_type 'cube' of 3 points"),
    ):
        exports.write(root / "a.json", content | {"shapes": [shapes[0] | wrong]})
        with pytest.raises(DataError, match=message):
            raise DataError(str(load(source, root, "cat").faults[0]))


def test_shapes_of_cvat(tmp_path: Path) -> None:
    root = tmp_path / "set"
    picture(root / "images/a.jpg")
    shapes = """
      <mask label="dog" rle="1, 1, 1, 3" left="2" top="3" width="3" height="2"/>
      <ellipse label="cat" cx="20" cy="15" rx="5" ry="3"/>
      <polygon label="cat" group_id="4" points="1,20;5,20;5,25"/>
      <polygon label="cat" group_id="4" points="7,20;9,20;9,25"/>
      <tag label="night"/>"""
    text = "<annotations>\n<meta><labels><label><name>night</name></label></labels></meta>\n{}</annotations>"
    image = f'<image id="0" name="a.jpg" width="40" height="30">{shapes}</image>'
    exports.write(root / "annotations.xml", text.format(image))
    source = CVAT()
    index = load(source, root)
    assert index.classes.tolist() == ["cat", "dog"], "a tag is no class of objects"
    np.testing.assert_allclose(index.boxes, [[2, 3, 5, 5], [15, 12, 25, 18], [1, 20, 9, 25]], atol=1e-4)
    masks = source.read(root, index, 0, "masks")
    assert torch.nonzero(masks[0]).tolist() == [[3, 3], [4, 2], [4, 3], [4, 4]]
    turned = '<box label="cat" xtl="10" ytl="10" xbr="20" ybr="14" rotation="90"/>'
    exports.write(root / "annotations.xml", text.format(image.replace(shapes, turned)))
    np.testing.assert_allclose(load(source, root).boxes, [[13, 7, 17, 17]], atol=1e-4)
    exports.write(root / "annotations.xml", text.format(image.replace(shapes, '<box label="cat" xtl="a"/>')))
    with pytest.raises(DataError, match=r"annotations\.xml: line 3: found xtl='a', ytl=None"):
        raise DataError(str(load(source, root, "cat").faults[0]))
    exports.write(root / "annotations.xml", text.format('<track id="0" label="cat"/>'))
    with pytest.raises(DataError, match=r"is CVAT for video; export the task as 'CVAT for images 1\.1'"):
        load(source, root)


def test_attributes_of_via(tmp_path: Path) -> None:
    root = tmp_path / "set"
    picture(root / "a.jpg")
    shape = {"name": "polygon", "all_points_x": [1, 9, 9], "all_points_y": [1, 1, 9]}
    regions = {"0": {"shape_attributes": shape, "region_attributes": {}}}  # version 1 numbers them
    exports.write(root / "via_region_data.json", {"a.jpg1": {"filename": "a.jpg", "size": 1, "regions": regions}})
    assert load(VIA(), root, "balloon").boxes.tolist() == [[1, 1, 9, 9]]
    regions["0"]["region_attributes"] = {"colour": "red", "kind": {"cat": False, "dog": True}}
    exports.write(root / "via_region_data.json", {"a.jpg1": {"filename": "a.jpg", "size": 1, "regions": regions}})
    with pytest.raises(DataError, match=r"the attributes colour, kind; dataset\.source\.attribute names the class"):
        load(VIA(), root)
    assert load(VIA(attribute="kind"), root).classes.tolist() == ["dog"]


def test_what_kitti_does_not_care_for_is_ignored_for_all_classes(tmp_path: Path) -> None:
    root = tmp_path / "set"
    exports.kitti(root, BOXES)
    for folder in ("testing/image_2", "train/image_3"):
        picture(root / folder / "a.jpg")
    (root / "val/label_2/c.txt").rename(root / "val/label_2/c.TXT")
    file = root / "train/label_2/a.txt"
    file.write_text(file.read_text() + "DontCare -1 -1 -10 1 2 9 8 -1 -1 -1 -1000 -1000 -1000 -10\n")
    index = load(KITTI(images="."), root)
    with pytest.raises(DataError, match=r"'a' may be train/image_2/a\.jpg or train/image_3/a\.jpg"):
        raise DataError(str(index.faults[0]))
    (root / "train/image_3/a.jpg").unlink()
    index = load(KITTI(), root)
    objects = index.objects(int(index.rows(["train/image_2/a.jpg"])[0]))
    assert objects.labels.tolist() == [0, 1, 0, 1]
    assert objects.difficult.tolist() == [False, False, True, True]
    file.write_text("Car 0 0 1 2\n")
    with pytest.raises(DataError, match=r"a\.txt: line 1: found 'Car 0 0 1 2'; must be a type, three numbers"):
        raise DataError(str(load(KITTI(), root, "cat", "dog").faults[0]))


def test_a_document_of_another_kind_is_named(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    with pytest.raises(DataError, match=r"holds no JSON file of LabelMe, with imagePath and shapes"):
        LabelMe().root(tmp_path / "set")
    exports.coco(tmp_path / "coco", BOXES)
    with pytest.raises(DataError, match=r"holds no XML file of CVAT .* It looks like COCO"):
        CVAT().root(tmp_path / "coco")
    exports.write(tmp_path / "set/via.json", json.dumps([{"filename": 3, "regions": []}]))
    with pytest.raises(DataError, match=r"must have a filename and regions"):
        load(VIA(), tmp_path / "set")


def test_some_of_the_classes_are_chosen_by_the_heads(tmp_path: Path) -> None:
    """A name that `dataset.classes` lacks may be a misspelling, so that it is not passed over in silence."""
    exports.kitti(tmp_path / "set", BOXES)
    index = load(KITTI(), tmp_path / "set", "cat")
    said = str(index.faults[0])
    assert "unknown class 'dog'; found in the files cat (2), dog (3); to learn only cat, leave out" in said
    assert said.endswith("set heads.<name>.classes.")


def packed(values: list[int], lengths: list[int]) -> list[int]:
    """The bytes of Label Studio's brushes: runs where values are the same, else single ones."""
    bits = f"{len(values):032b}{7:05b}{2:04b}{3:04b}{8:04b}{15:04b}"
    place = 0
    for length in lengths:
        own = values[place : place + length]
        same = len(set(own)) == 1
        size = next(k for k, most in enumerate((8, 16, 512, 65536)) if length <= most)
        bits += f"{int(same)}{size:02b}{length - 1:0{(3, 4, 9, 16)[size]}b}"
        bits += "".join(f"{value:08b}" for value in (own[:1] if same else own))
        place += length
    bits += "0" * (-len(bits) % 8)
    return [int(bits[k : k + 8], 2) for k in range(0, len(bits), 8)]


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 600), st.integers(0, 255)), min_size=1, max_size=6))
def test_brushes_of_label_studio(runs: list[tuple[bool, int, int]]) -> None:
    values = [(seed + (0 if same else 37 * k)) % 256 for same, length, seed in runs for k in range(length)]
    found = packed(values, [length for _, length, _ in runs])
    assert unpacked(found, len(values)).tolist() == values
    for broken, count in ((found, len(values) + 1), (found[: len(found) // 2], len(values))):
        with pytest.raises(ValueError, match=r"values for|end too soon"):
            unpacked(broken, count)


def studio(root: Path, *regions: dict[str, Any], **more: Any) -> Index:
    """One picture of 40 x 30 pixels."""
    size = {"original_width": 40, "original_height": 30}
    task = {
        "data": {"image": "/data/local-files/?d=a%20b.jpg"},
        "annotations": [{"result": [size | one for one in regions]}],
    }
    exports.write(root / "project.json", [task | more])
    picture(root / "a b.jpg", 40, 30)
    return load(LabelStudio(), root)


def test_label_studio(tmp_path: Path) -> None:
    """A turned box, an ellipse, a brush, a box and its label apart, and what is no object."""
    brush = np.zeros((30, 40, 4), np.uint8)
    brush[3:6, 7:9] = 255
    values = brush.ravel().tolist()
    runs = packed(values, [600] * 8)
    box = {"x": 50, "y": 50, "width": 25, "height": 10}
    index = studio(
        tmp_path / "set",
        {"type": "rectanglelabels", "value": box | {"rotation": 90, "rectanglelabels": ["turned"]}},
        {
            "type": "ellipselabels",
            "value": {"x": 50, "y": 50, "radiusX": 25, "radiusY": 10, "ellipselabels": ["round"]},
        },
        {"type": "brushlabels", "value": {"format": "rle", "rle": runs, "brushlabels": ["brush"]}},
        {"type": "rectangle", "id": "r", "value": box},
        {"type": "labels", "id": "r", "value": box | {"labels": ["apart"]}},
        {"type": "keypointlabels", "value": {"x": 1, "y": 2, "keypointlabels": ["nose"]}},
        {"type": "choices", "value": {"choices": ["night"]}},
    )
    found = index.objects(0)
    assert index.classes[found.labels].tolist() == ["turned", "round", "brush", "apart"]
    wanted = [[17, 15, 20, 25], [10, 12, 30, 18], [7, 3, 9, 6], [20, 15, 30, 18]]
    assert np.allclose(found.boxes, wanted, atol=1e-4), "the corner stays where it is, whatever the picture's shape"
    said = index.notes[:, 1].tolist()
    assert [line.partition(": ")[2] for line in said if "region" in line] == [
        "region 6: keypointlabels",
        "region 7: choices",
    ]
    assert not index.labelled["masks"][0], "boxes have no pixels"


@pytest.mark.parametrize(
    ("regions", "said"),
    [
        (
            [{"value": {"x": 1, "y": 1, "width": "x", "height": 1, "rectanglelabels": ["a"]}}],
            "region 2: found .* its numbers",
        ),
        ([{"value": {"format": "rle", "rle": [1, 2], "brushlabels": ["a"]}}], "region 2: found"),
    ],
)
def test_regions_of_label_studio_that_are_broken(regions: list[dict[str, Any]], said: str, tmp_path: Path) -> None:
    sound = {"value": {"x": 1, "y": 1, "width": 1, "height": 1, "rectanglelabels": ["a"]}}
    with pytest.raises(DataError, match=said):
        raise DataError(str(studio(tmp_path / "set", sound, *regions).faults[0]))


def test_the_short_form_of_label_studio(tmp_path: Path) -> None:
    root = tmp_path / "set"
    region = {
        "x": 50,
        "y": 50,
        "width": 25,
        "height": 10,
        "rotation": 0,
        "rectanglelabels": ["cat"],
        "original_width": 40,
    }
    exports.write(
        root / "min.json",
        [{"id": 1, "image": "/data/upload/1/12345678-a.jpg", "label": [region | {"original_height": 30}]}],
    )
    picture(root / "a.jpg", 40, 30)
    assert load(LabelStudio(), root).objects(0).boxes.tolist() == [[20, 15, 30, 18]]


def test_masks_of_supervisely(tmp_path: Path) -> None:
    """A bitmap in a corner, and a polygon with a hole."""
    root = tmp_path / "set"
    picture(root / "ds/img/a.png", 40, 30)
    mask = np.zeros((4, 5, 4), np.uint8)
    mask[1:, :2, 3] = 255
    content = io.BytesIO()
    Image.fromarray(mask).save(content, "PNG")
    bitmap = {"data": base64.b64encode(zlib.compress(content.getvalue())).decode(), "origin": [36, 20]}
    ring = {"exterior": [[2, 2], [12, 2], [12, 12], [2, 12]], "interior": [[[5, 5], [8, 5], [8, 8], [5, 8]]]}
    objects = [
        {"classTitle": "cat", "geometryType": "bitmap", "bitmap": bitmap},
        {"classTitle": "dog", "geometryType": "polygon", "points": ring},
        {"classTitle": "dog", "geometryType": "line", "points": {"exterior": [[1, 1], [2, 2]], "interior": []}},
    ]
    exports.write(root / "ds/ann/a.png.json", {"size": {"height": 30, "width": 40}, "objects": objects})
    source = Supervisely()
    index = load(source, root)
    drawn = source.read(root, index, 0, "masks").numpy()
    assert index.objects(0).boxes[0].tolist() == [36, 21, 38, 24]
    assert drawn[0].sum() == drawn[0][21:24, 36:38].sum() == 6
    assert drawn[1][3, 3]
    assert not drawn[1][6, 6]
    assert index.notes[:, 1].tolist()[-1] != ""
    exports.write(root / "ds/ann/a.png.json", {"objects": [objects[0]]})
    with pytest.raises(DataError, match=r"a\.png\.json: object 1: found the size None"):
        raise DataError(str(load(source, root, "cat").faults[0]))


def test_regions_of_aperio_without_a_class_or_corners(tmp_path: Path) -> None:
    """As of MoNuSeg: the only attribute is a description."""
    root = tmp_path / "set"
    corners = "".join(f'<Vertex X="{x}" Y="{y}"/>' for x, y in ((2, 2), (9, 2), (9, 8)))
    line = '<Region><Vertices><Vertex X="1" Y="1"/></Vertices></Region>'
    layer = '<Annotation Name=""><Attributes><Attribute Name="Description"/></Attributes><Regions>'
    regions = f"<Region><Vertices>{corners}</Vertices></Region>{line}"
    exports.write(root / "a.xml", f"<Annotations>{layer}{regions}</Regions></Annotation></Annotations>")
    picture(root / "a.png", 40, 30)
    index = load(Aperio(), root, "nucleus")
    assert index.objects(0).boxes.tolist() == [[2, 2, 9, 8]]
    assert "line 1: of 1 corners" in index.notes[:, 1].tolist()
    exports.write(
        root / "a.xml", f"<Annotations>{layer}{regions.replace('9', 'x')}</Regions></Annotation></Annotations>"
    )
    assert "line 1: found a vertex without numbers" in str(load(Aperio(), root, "nucleus").faults[0])
