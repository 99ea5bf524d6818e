"""Sets of street scenes and people as they are published: what is an object, what is ignored, which split it is in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from tests.data.conftest import xml
from tests.data.sources.exports import write
from tests.data.sources.test_public_objects import load, objects
from tests.data.sources.written import picture
from vjo_train.data.index import Index
from vjo_train.data.sources.cityscapes import Cityscapes
from vjo_train.data.sources.guess.folders import looks_like
from vjo_train.data.sources.mask_files import MaskFiles
from vjo_train.data.sources.objects.bbgt import BbGt
from vjo_train.data.sources.objects.box_lists import BoxLists
from vjo_train.data.sources.objects.box_table import BoxTable
from vjo_train.data.sources.objects.ecp import EuroCityPersons
from vjo_train.data.sources.objects.nuimages import NuImages
from vjo_train.data.sources.objects.pascal_text import PascalText
from vjo_train.data.sources.objects.uavdt import UAVDT
from vjo_train.data.sources.opened import load_index
from vjo_train.data.sources.polygons import Polygons
from vjo_train.data.sources.voc.source import VOC
from vjo_train.errors import DataError

BOX = (3, 4, 12, 20)


def idd(root: Path) -> None:
    """The same names of frames in each drive; lists in the root, with folders and without endings."""
    lists: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for number, (split, drive) in enumerate(
        (("train", "frontFar/BLR_1"), ("val", "frontFar/BLR_2"), ("test", "rear/x"))
    ):
        for frame in ("0000030", "0000060"):
            name = f"{drive}/{frame}"
            picture(root / f"JPEGImages/{name}.jpg")
            lists[split].append(name)
            if split != "test":
                label = ("autorickshaw", "animal")[number]
                write(root / f"Annotations/{name}.xml", xml(40, 30, [(label, BOX, 0)]))
    write(root / "Annotations/frontFar/BLR_1/.0000030.xml.swp", "b0VIM 8.0")
    for split, names in lists.items():
        write(root / f"{split}.txt", "\n".join(names) + "\n")


def test_idd_has_folders_in_its_names_and_lists_in_its_root(tmp_path: Path) -> None:
    root = tmp_path / "set"
    idd(root)
    source = VOC()
    index = load(source, root)
    assert "dataset=voc" in looks_like(root)
    assert source.splits(root) == ["test", "train", "trainval", "val"]
    assert source.split(root, "val") == ["frontFar/BLR_2/0000030", "frontFar/BLR_2/0000060"]
    assert index.images.tolist()[0] == "JPEGImages/frontFar/BLR_1/0000030.jpg"
    assert [objects(index, row)[0][1] for row in range(4)] == ["autorickshaw"] * 2 + ["animal"] * 2
    assert not index.faults.tolist()
    before = source.stamp(root)
    write(root / "val.txt", "JPEGImages/frontFar/BLR_2/0000030.jpg\n")
    assert source.split(root, "val") == ["frontFar/BLR_2/0000030"], "the folders that are there count"
    assert source.stamp(root) != before


def test_folders_of_a_list_that_are_not_there_are_left_out(tmp_path: Path) -> None:
    root = tmp_path / "set"
    picture(root / "JPEGImages/a.jpg")
    write(root / "Annotations/a.xml", xml(40, 30, [("cat", BOX, 0)]))
    for line in ("a", "images/a.jpg", "/data/JPEGImages/a.jpg", "..\\JPEGImages\\a.jpg", "./a"):
        write(root / "train.txt", f"{line}\n")
        assert VOC().split(root, "train") == ["a"]
    write(root / "training_log.txt", "epoch 1\n")
    assert "training_log" not in VOC().splits(root)
    write(root / "Annotations/b.xml/c.txt", "")
    assert "b.xml: is no regular file" in load(VOC(), root).faults[0], "a folder that is called as a file"


def ecp(root: Path) -> None:
    """The same names by day and by night."""
    for time in ("day", "night"):
        for split in ("train", "val"):
            picture(root / f"ECP/{time}/img/{split}/roma/roma_00001.png")
            write(root / f"ECP/{time}/labels/{split}/roma/roma_00001.json", frame(people()))


def child(identity: str, x: int, **more: Any) -> dict[str, Any]:
    return {"tags": [], "x0": x, "y0": 3, "x1": x + 5, "y1": 23.5, "children": [], "identity": identity, **more}


def frame(children: Any) -> dict[str, Any]:
    return {"tags": ["rainy"], "imageheight": 30, "imagewidth": 40, "children": children, "identity": "frame"}


def people() -> list[dict[str, Any]]:
    rider = child("rider", 10, children=[child("bicycle", 11)])
    groups = [child("person-group-far-away", 20), child("rider+vehicle-group-far-away", 25), child("bicycle-group", 1)]
    return [child("pedestrian", 2, orient=120.0), rider, *groups, child("pedestrian", 30, tags=["depiction"])]


def test_eurocity_persons(tmp_path: Path) -> None:
    root = tmp_path / "set"
    ecp(root)
    source = EuroCityPersons()
    index = load(source, root)
    assert "dataset=ecp" in looks_like(root)
    assert source.splits(root) == ["train", "val"]
    names = [f"ECP/{time}/img/{split}/roma/roma_00001.png" for time in ("day", "night") for split in ("train", "val")]
    assert index.images.tolist() == names
    assert objects(index, 3) == [
        ([2, 3, 7, 23.5], "pedestrian", False),
        ([10, 3, 15, 23.5], "rider", False),
        ([20, 3, 25, 23.5], "pedestrian", True),
        ([25, 3, 30, 23.5], "rider", True),
        ([30, 3, 35, 23.5], "pedestrian", True),
    ]
    assert "1 are no people, such as parked bicycles" in index.notes[:, 1].tolist()
    for broken, said in (
        ({"children": 3}, "no list 'children'"),
        (frame([{"identity": "rider"}]), "child 1: found .*x0"),
    ):
        write(root / "ECP/day/labels/train/roma/roma_00001.json", broken)
        with pytest.raises(DataError, match=said):
            raise DataError(str(load(source, root).faults[0]))


def test_pictures_in_other_folders_than_those_of_splits_are_a_split(tmp_path: Path) -> None:
    """TT100K has `other/` beside `train/` and `test/`."""
    root = tmp_path / "set"
    found = {}
    for number, folder in enumerate(("train", "test", "other", "other")):
        picture(root / f"{folder}/{number}.jpg")
        thing = {"bbox": {"xmin": 2, "ymin": 3, "xmax": 12, "ymax": 23}, "category": "pl80", "ellipse_org": [[1, 2]]}
        found[str(number)] = {"id": number, "path": f"{folder}/{number}.jpg", "objects": [thing]}
    write(root / "annotations.json", {"imgs": found, "types": ["i1", "pl80"]})
    source = BoxLists()
    index = load(source, root)
    assert "dataset=box_lists" in looks_like(root)
    assert source.splits(root) == ["train", "test", "other"]
    assert source.split(root, "other") == ["other/2.jpg", "other/3.jpg"]
    assert index.classes.tolist() == ["pl80"]
    assert objects(index, 0) == [([2, 3, 12, 23], "pl80", False)]


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ([{"image": "a.jpg", "boxes": [{"class": "car", "x": 1, "y": 2, "width": 3, "height": 4}]}], [1, 2, 4, 6]),
        (
            {"file_name": "a.jpg", "objects": [{"type": 3, "box": {"x0": 1, "y0": 2, "x1": 3, "y1": 4}}]},
            [1, 2, 3, 4],
        ),
        ([{"path": "a.jpg", "boxes": [{"label": "car", "x1": 0, "y1": 0.5, "x2": 0.25, "y2": 1}]}], [0, 15, 10, 30]),
        ({"path": "a.jpg", "objects": [{"class": "car", "bbox": [1, 2, 3, 4]}]}, "four numbers by name"),
        ({"path": "a.jpg", "objects": [{"label": False, "x1": 1, "y1": 2, "x2": 3, "y2": 4}]}, "must have a class"),
        ({"a": [{"label": "car", "x1": 1, "y1": 2, "x2": 4, "y2": 6}]}, [1, 2, 4, 6]),
        ({"a": {"width": 40, "bbox": [{"label": 3, "xmin": 1, "ymin": 2, "xmax": 4, "ymax": 6}]}}, [1, 2, 4, 6]),
        ({"a": [{"x1": 1, "y1": 2, "x2": 4, "y2": 6}]}, "object 1: an object without a class; there are 2"),
        ({"a": {"boxes": [{"x": 1}], "objects": [{"x": 1}]}}, "picture a: found .* one list of objects"),
        ({"imgs": [{"objects": []}]}, "picture 1: found .* must have a path and one list of objects"),
        ({"imgs": []}, "found no pictures"),
    ],
)
def test_lists_of_boxes_by_other_names(content: Any, wanted: list[int] | str, tmp_path: Path) -> None:
    root = tmp_path / "set"
    picture(root / "a.jpg")
    write(root / "x.json", content)
    source = BoxLists(file="x.json")
    if isinstance(wanted, list):
        assert load_index(source, root, ["3", "car"], tmp_path / "cache").boxes.tolist() == [wanted]
        return
    with pytest.raises(DataError, match=wanted):
        raise DataError(str(load_index(source, root, ["3", "car"], tmp_path / "cache").faults[0]))


def test_lists_of_boxes_say_splits_by_a_key_or_by_parts_of_the_file(tmp_path: Path) -> None:
    root = tmp_path / "set"
    found: dict[str, list[Any]] = {"training": [], "testing": []}
    for number in range(3):
        picture(root / f"{number}.jpg")
        boxes = [{"label": "car", "x_min": 1, "y_min": 2, "x_max": 3, "y_max": 4}]
        found["testing" if number else "training"].append({"file_name": f"{number}.jpg", "boxes": boxes})
    found["testing"][1]["split"] = "valid"
    write(root / "x.JSON", found)
    assert "dataset=box_lists" in looks_like(root)
    parts = {split: BoxLists().split(root, split) for split in BoxLists().splits(root)}
    assert parts == {"train": ["0.jpg"], "test": ["1.jpg"], "val": ["2.jpg"]}


def kaist(root: Path) -> None:
    for name in ("set00/V000/I00000", "set06/V000/I00000"):
        for camera in ("visible", "lwir"):
            folder, _, frame_name = name.rpartition("/")
            picture(root / f"images/{folder}/{camera}/{frame_name}.jpg")
        rows = [
            "% bbGt version=3", "person 3 4 10 20 0 0 0 0 0 0 0", "people 20 4 5 5 0 0 0 0 0 0 0",
            "person 30 4 5 5 1 30 4 2 2 1 0", "person-fa 1 1 5 5 0 0 0 0 0 0 0", "cyclist 6 7 20 10 0 0 0 0 0 0 90",
        ]  # fmt: skip
        write(root / f"annotations/{name}.txt", "\n".join(rows) + "\n")


def test_text_of_the_toolbox_for_pictures_of_two_cameras(tmp_path: Path) -> None:
    root = tmp_path / "set"
    kaist(root)
    assert "dataset=bbgt" in (said := looks_like(root))
    assert "dataset.source.folder=visible" in said
    with pytest.raises(DataError, match=r"I00000' may be .*lwir/.* or .*visible/"):
        raise DataError(str(load(BbGt(), root).faults[0]))
    index = load(BbGt(folder="lwir"), root)
    assert index.images.tolist() == [f"images/set0{k}/V000/lwir/I00000.jpg" for k in (0, 6)]
    ignored = [19, 3, 24, 8]
    assert objects(index, 1) == [
        ([2, 3, 12, 23], "person", False),
        (ignored, "cyclist", True),
        (ignored, "person", True),
        ([29, 3, 34, 8], "person", True),
        ([10, 1, 20, 21], "cyclist", False),
    ]
    write(root / "annotations/set00/V000/I00000.txt", "% bbGt version=3\nperson 1 2 x 4\n")
    with pytest.raises(DataError, match=r"line 2: found 'person 1 2 x 4'; must be label x y w h occ"):
        raise DataError(str(load(BbGt(folder="lwir"), root).faults[0]))


def test_text_of_the_toolbox_by_the_whole_name_of_a_picture(tmp_path: Path) -> None:
    """ExDark's; `People` is a class there."""
    root = tmp_path / "set"
    picture(root / "ExDark/People/2015_1.png")
    picture(root / "ExDark/Bicycle/2015_1.png")
    write(root / "ExDark_Annno/People/2015_1.png.txt", "% bbGt version=3\nPeople 3 4 10 20 0 0 0 0 0 0 0\n")
    index = load(BbGt(), root)
    assert index.images.tolist() == ["ExDark/People/2015_1.png"]
    assert objects(index, 0) == [([2, 3, 12, 23], "People", False)]


PENN = """# Compatible with PASCAL Annotation Version 1.00
Image filename : "PennFudanPed/PNGImages/Penn1.png"
Image size (X x Y x C) : 40 x 30 x 3
Objects with ground truth : 2 { "PASpersonWalking" "PAScarTruncDifficult" }
# Top left pixel co-ordinates : (1, 1)
Bounding box for object 1 "PASpersonWalking" (Xmin, Ymin) - (Xmax, Ymax) : (3, 4) - (12, 23)
Pixel mask for object 1 "PASpersonWalking" : "PennFudanPed/PedMasks/Penn1_mask.png"
Bounding box for object 2 "PAScarTruncDifficult" (Xmin, Ymin) - (Xmax, Ymax) : (1, 1) - (40, 30)
"""


def test_text_of_pascal_names_classes_without_how_they_are_seen(tmp_path: Path) -> None:
    root = tmp_path / "PennFudanPed"
    picture(root / "PNGImages/Penn1.png")
    write(root / "Annotation/Penn1.txt", PENN)
    assert "dataset=pascal_text" in looks_like(root)
    index = load(PascalText(), root)
    assert objects(index, 0) == [([2, 3, 12, 23], "person", False), ([0, 0, 40, 30], "car", True)]
    assert looks_like(root / "Annotation") == "", "there are no pictures"
    write(root / "Annotation/Penn1.txt", PENN.replace("(12, 23)", "(12, x)"))
    with pytest.raises(DataError, match=r"Penn1\.txt: found 2 for 'Objects with ground truth', and 1 rows"):
        raise DataError(str(load(PascalText(), root).faults[0]))


def uavdt(root: Path) -> None:
    for split, sequence in (("train", "M0101"), ("test", "M0203")):
        for number in (1, 2):
            picture(root / f"UAV-benchmark-M/{sequence}/img{number:06d}.jpg")
        gt = root / "UAV-benchmark-MOTD_v1.0/GT"
        write(gt / f"{sequence}_gt_whole.txt", "1,1,2,3,10,20,1,1,1\n1,2,20,3,5,5,1,1,3\n")
        write(gt / f"{sequence}_gt.txt", "1,1,2,3,10,20,1,-1,-1\n")
        write(gt / f"{sequence}_gt_ignore.txt", "1,-1,30,3,5,5,1,-1,-1\n")
        write(root / f"M_attr/{split}/{sequence}_attr.txt", "1,0,0\n")


def test_uavdt(tmp_path: Path) -> None:
    root = tmp_path / "set"
    uavdt(root)
    source = UAVDT()
    index = load(source, root)
    assert "dataset=uavdt" in looks_like(root)
    assert source.split(root, "test") == [f"UAV-benchmark-M/M0203/img{k:06d}.jpg" for k in (1, 2)]
    ignored = [30, 3, 35, 8]
    assert objects(index, 0) == [
        ([2, 3, 12, 23], "car", False),
        ([20, 3, 25, 8], "bus", False),
        *((ignored, name, True) for name in ("car", "truck", "bus")),
    ]
    assert objects(index, 1) == []
    assert index.labelled["boxes"].all(), "a frame without a row shows nothing"
    write(root / "UAV-benchmark-MOTD_v1.0/GT/M0101_gt_whole.txt", "1,1,2,3,10,20,1,1,4\n")
    with pytest.raises(DataError, match=r"line 1: found '1,1,2,3,10,20,1,1,4'; must be frame,id.*in 1\.\.3"):
        load(source, root)


def test_a_folder_of_nuimages_without_objects_is_not_annotated(tmp_path: Path) -> None:
    root = tmp_path / "set"
    car = {"sample_data_token": "t", "category_token": "c", "bbox": [2, 3, 12, 23], "mask": None}
    for split, rows in (("train", [car]), ("test", [])):
        file = f"samples/CAM_BACK/{split}.jpg"
        picture(root / file)
        size = {"width": 40, "height": 30}
        table = [{"token": "t", "filename": file, "is_key_frame": True, **size}]
        write(root / f"v1.0-{split}/sample_data.json", table)
        write(root / f"v1.0-{split}/object_ann.json", rows)
        write(root / f"v1.0-{split}/category.json", [{"token": "c", "name": "vehicle.car"}])
    assert "dataset=nuimages" in looks_like(root)
    index = load(NuImages(), root)
    assert index.images.tolist() == ["samples/CAM_BACK/train.jpg"]
    assert objects(index, 0) == [([2, 3, 12, 23], "vehicle.car", False)]
    assert not index.labelled["masks"].any()
    write(root / "v1.0-train/object_ann.json", [{"sample_data_token": "u", "category_token": "c", "bbox": []}])
    with pytest.raises(DataError, match=r"object_ann\.json: row 1: names a picture or a category that is in no table"):
        load(NuImages(), root)
    write(root / "v1.0-train/object_ann.json", [car | {"category_token": ["c"]}])
    with pytest.raises(DataError, match=r"object_ann\.json: row 1: found .*; must have sample_data_token"):
        load(NuImages(), root)


def test_columns_that_stand_in_another_order_than_their_names(tmp_path: Path) -> None:
    """Udacity's first table is called xmin, xmax, ymin, ymax, and holds x1, y1, x2, y2; the second has no names."""
    root = tmp_path / "set"
    picture(root / "1479.jpg")
    header = "xmin,xmax,ymin,ymax,Frame,Label,Preview URL"
    write(root / "labels.csv", f"{header}\n12,3,30,20,1479.jpg,Car,http://x\n2,10,9,14,1479.jpg,Truck,http://y\n")
    index = load(BoxTable(), root)
    assert objects(index, 0) == [([12, 3, 30, 20], "Car", False), ([2, 10, 9, 14], "Truck", False)]
    assert "labels.csv: xmin, xmax, ymin, ymax hold x1, y1, x2, y2" in index.notes[:, 1].tolist()
    write(root / "labels.csv", f"{header}\n12,30,3,20,1479.jpg,Car,http://x\n30,12,3,20,1479.jpg,Car,http://x\n")
    assert load(BoxTable(), root).boxes.tolist() == [[12, 3, 30, 20]] * 2, "corners swapped once"
    write(root / "labels.csv", '1479.jpg 12 3 30 20 0 "car"\n1479.jpg 2 10 9 14 1 "trafficLight" "Red"\n')
    assert "dataset=box_table" in looks_like(root)
    found = objects(load(BoxTable(), root), 0)
    assert found == [([12, 3, 30, 20], "car", False), ([2, 10, 9, 14], "trafficLight", False)]


def test_maps_whose_names_have_another_word_and_colours_in_json(tmp_path: Path) -> None:
    """A2D2: `camera/` and `label/`."""
    root = tmp_path / "set"
    picture(root / "2018/camera/cam_front/2018_camera_front_1.png", 8, 6)
    label = root / "2018/label/cam_front/2018_label_front_1.png"
    label.parent.mkdir(parents=True)
    colours = np.full((6, 8, 3), (255, 0, 0), np.uint8)
    colours[:, 4:], colours[0] = (180, 50, 180), (1, 2, 3)
    Image.fromarray(colours).save(label)
    write(root / "class_list.json", {"#ff0000": "Car 1", "#B432B4": "Drivable cobblestone"})
    source = MaskFiles(images=".", masks="{stem}.png", palette="class_list.json", replace={"camera": "label"})
    index = load(source, root)
    assert "'dataset.source.replace={camera: label}'" in looks_like(root)
    assert index.images.tolist() == ["2018/camera/cam_front/2018_camera_front_1.png"]
    assert index.classes.tolist() == ["Car 1", "Drivable cobblestone"]
    assert source.read(root, index, 0, "semantic")[:2].tolist() == [[255] * 8, [1] * 4 + [2] * 4]
    write(root / "class_list.json", {"#ff00": "Car 1"})
    with pytest.raises(DataError, match=r'found "#ff00": \'Car 1\'; must be such as'):
        source.class_names(root)


CAR = [[4, 4], [20, 4], [20, 14], [4, 14]]
PERSON = [[10, 8], [14, 8], [14, 20], [10, 20]]
ROAD = [[0, 10], [39, 10], [39, 29], [0, 29]]
BLOCKS = ((30, 12, 8, 6), (0, 0, 2, 2), (0, 0, 5, 5))


def polygons(root: Path, things: Any = None, split: str = "train", name: str = "0001") -> None:
    """A car on a road, and a person before it."""
    group, hidden, void = ([[x, y], [x + side, y], [x + side, y + down], [x, y + down]] for x, y, side, down in BLOCKS)
    drawn = [("road", ROAD), ("cargroup", group), ("car", CAR), ("license plate", CAR), ("person", PERSON)]
    drawn += [("person", hidden), ("out of roi", void)]
    own = [{"label": label, "polygon": corners, "deleted": 0} for label, corners in drawn]
    found = own if things is None else things
    picture(root / f"leftImg8bit/{split}/201/{name}_leftImg8bit.jpg")
    content = {"imgHeight": 30, "imgWidth": 40, "objects": found}
    write(root / f"gtFine/{split}/201/{name}_gtFine_polygons.json", content)


def opened(root: Path, *classes: str) -> tuple[Polygons, Index]:
    source = Polygons()
    return source, load_index(source, source.root(root), list(classes) or source.class_names(root), root.parent / "c")


def test_nearer_polygons_lie_on_those_behind_them(tmp_path: Path) -> None:
    root = tmp_path / "set"
    polygons(root)
    polygons(root, split="val")
    source, index = opened(root)
    with pytest.raises(DataError, match=r"none of its 2 pictures has a map: .*_labelIds\.png.*dataset=polygons"):
        load(Cityscapes(), root)
    assert source.splits(root) == ["train", "val"]
    assert index.classes.tolist() == ["car", "person", "road"]
    assert source.class_names_of(root, "boxes") == ["car", "person"]
    found = objects(index, 0)
    assert found == [
        ([30, 12, 39, 19], "car", True),
        ([4, 4, 21, 15], "car", False),
        ([10, 8, 15, 21], "person", False),
    ], "a person that cannot be seen is not there"
    semantic = source.read(root, index, 0, "semantic")
    assert semantic.unique().tolist() == [1, 2, 3, 255]
    masks = source.read(root, index, 0, "masks")
    assert torch.equal(masks == 3, semantic == 2)
    assert not (masks == 1).any(), "of a group no pixels are known"
    assert (masks == 2).sum() == 17 * 11 - 5 * 7 - 4, "without the pixels of the person, and of what is beyond"


def test_polygons_are_drawn_as_the_maps_of_cityscapes_are(tmp_path: Path) -> None:
    """As its public tool draws them: an id for each label, 1000 x the id and a number for each object."""
    root = tmp_path / "set"
    polygons(root)
    ids, kept = {"road": 7, "car": 26, "person": 24, "out of roi": 3}, {"car": 0, "person": 0}
    images = {"labelIds": Image.new("I", (40, 30)), "instanceIds": Image.new("I", (40, 30))}
    for thing in json.loads((root / "gtFine/train/201/0001_gtFine_polygons.json").read_text())["objects"]:
        label = thing["label"].removesuffix("group")
        if label in ids:
            single = label in kept and label == thing["label"]
            values = {"labelIds": ids[label], "instanceIds": 1000 * ids[label] + kept[label] if single else ids[label]}
            kept |= {label: kept[label] + 1} if single else {}
            for name, value in values.items():
                ImageDraw.Draw(images[name]).polygon([tuple(corner) for corner in thing["polygon"]], fill=value)
    for name, image in images.items():
        numbers = np.array(image).astype(np.uint8 if name == "labelIds" else np.uint16)
        Image.fromarray(numbers).save(root / f"gtFine/train/201/0001_gtFine_{name}.png")
    picture(root / "leftImg8bit/train/201/0001_leftImg8bit.png")
    (root / "leftImg8bit/train/201/0001_leftImg8bit.jpg").unlink()
    source, index = opened(root)
    others, other = Cityscapes(), load_index(Cityscapes(), root, index.classes.tolist(), tmp_path / "cache")
    assert "dataset=cityscapes" in looks_like(root), "where its maps are there"
    assert sorted(map(str, objects(index, 0))) == sorted(map(str, objects(other, 0)))
    assert torch.equal(source.read(root, index, 0, "semantic"), others.read(root, other, 0, "semantic"))
    assert torch.equal(source.read(root, index, 0, "masks") > 0, others.read(root, other, 0, "masks") > 0)


def test_polygons_that_say_nothing(tmp_path: Path) -> None:
    """The test split of Cityscapes has void labels alone; other labels than the chosen ones count neither way."""
    root = tmp_path / "set"
    polygons(root)
    polygons(root, [{"label": "ego vehicle", "polygon": CAR}], name="0002")
    (root / "gtFine/train/201/0003_gtFine_polygons.json").write_text("")
    source, index = opened(root, "road")
    assert [flags.tolist() for flags in index.labelled.values()] == [[True, False]] * 4
    assert source.read(root, index, 0, "semantic").unique().tolist() == [1, 255]
    assert not len(index.objects(0))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"objects": [], "imgHeight": 1, "imgWidth": 40}, "found 40 x 1 as imgWidth, imgHeight; .* 40 x 30"),
        (
            {"objects": [{"label": "car"}], "imgHeight": 30, "imgWidth": 40},
            "object 1: found .*; must have a label and a",
        ),
        ({"objects": [{"label": "car", "polygon": [[1e9, 2]]}], "imgHeight": 30, "imgWidth": 40}, "object 1"),
        ([], "found no list 'objects'"),
    ],
)
def test_broken_polygons_are_faults(content: Any, said: str, tmp_path: Path) -> None:
    root = tmp_path / "set"
    polygons(root)
    (root / "gtFine/train/201/0001_gtFine_polygons.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=said):
        raise DataError(str(opened(root, "car")[1].faults[0]))
