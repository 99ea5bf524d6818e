"""CrowdHuman, VisDrone and MOT as they are published: what is an object, and what is ignored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.sources.exports import write
from tests.data.sources.test_cityscapes import STREET, scene
from tests.data.sources.written import picture
from vjo_train.data.class_facts import class_facts
from vjo_train.data.datamodule import DataModule
from vjo_train.data.index import Index
from vjo_train.data.sources.cityscapes import Cityscapes
from vjo_train.data.sources.guess.folders import looks_like
from vjo_train.data.sources.join import Join, Part
from vjo_train.data.sources.objects.bdd100k import BDD100K
from vjo_train.data.sources.objects.citypersons import CityPersons
from vjo_train.data.sources.objects.kitti import KITTI
from vjo_train.data.sources.objects.mot import MOT
from vjo_train.data.sources.objects.odgt import CrowdHuman
from vjo_train.data.sources.objects.shapes import curved
from vjo_train.data.sources.objects.visdrone import NAMES, VisDrone
from vjo_train.data.sources.objects.wider_face import WiderFace
from vjo_train.data.sources.opened import load_index
from vjo_train.data.transforms import Augment
from vjo_train.errors import DataError


def load(source: Any, root: Path) -> Index:
    return load_index(source, source.root(root), source.class_names(root), root.parent / "cache")


def objects(index: Index, row: int) -> list[tuple[list[float], str, bool]]:
    found = index.objects(row)
    names = index.classes[found.labels].tolist()
    return list(zip(found.boxes.tolist(), names, found.difficult.tolist(), strict=True))


def crowdhuman(root: Path) -> None:
    for split in ("train", "val"):
        people = [
            {"tag": "person", "fbox": [2, 3, 10, 20], "hbox": [4, 3, 2, 2], "vbox": [2, 3, 10, 9], "extra": {"occ": 1}},
            {"tag": "person", "fbox": [20, 3, 5, 5], "vbox": [20, 3, 5, 5], "extra": {"ignore": 1}},
            {"tag": "mask", "fbox": [30, 3, 5, 5], "vbox": [30, 3, 5, 5], "extra": {"ignore": 1}},
        ]
        picture(root / f"Images/273271,{split}.jpg")
        write(root / f"annotation_{split}.odgt", json.dumps({"ID": f"273271,{split}", "gtboxes": people}) + "\n")


def test_crowdhuman(tmp_path: Path) -> None:
    root = tmp_path / "set"
    crowdhuman(root)
    source = CrowdHuman()
    index = load(source, root)
    assert "dataset=crowdhuman" in looks_like(root)
    assert source.split(root, "val") == ["Images/273271,val.jpg"]
    body = ([2, 3, 12, 23], "person", False)
    assert objects(index, 0) == [body, ([20, 3, 25, 8], "person", True), ([30, 3, 35, 8], "person", True)]
    assert objects(load(CrowdHuman(box="hbox"), root), 0) == [([4, 3, 6, 5], "person", False)]
    write(root / "annotation_val.odgt", '\n{"ID": "x", "gtboxes": 3}\n')
    with pytest.raises(DataError, match=r"annotation_val\.odgt: line 2: found '.*', no picture of CrowdHuman"):
        load(source, root)


def visdrone(root: Path) -> None:
    for split in ("train", "val"):
        picture(root / f"VisDrone2019-DET-{split}/images/0_{split}.jpg")
        rows = "2,3,10,20,1,4,0,0\n20,3,5,5,0,0,0,0\n20,20,5,5,0,1,0,1,\n"
        write(root / f"VisDrone2019-DET-{split}/annotations/0_{split}.txt", rows)


def test_visdrone(tmp_path: Path) -> None:
    root = tmp_path / "set"
    visdrone(root)
    source = VisDrone()
    index = load(source, root)
    assert "dataset=visdrone" in looks_like(root)
    assert (source.splits(root), index.classes.tolist()) == (["train", "val"], list(NAMES))
    found = objects(index, 0)
    assert found[0] == ([2, 3, 12, 23], "car", False)
    assert [one[1] for one in found[1:11]] == list(NAMES)
    assert all(one[0] == [20, 3, 25, 8] and one[2] for one in found[1:11])
    assert found[11] == ([20, 20, 25, 25], "pedestrian", True)
    write(root / "VisDrone2019-DET-val/annotations/0_val.txt", "1,2,3,4,1,12,0,0\n")
    with pytest.raises(DataError, match=r"0_val\.txt: line 1: found '1,2,3,4,1,12,0,0'; must be x,y,width"):
        raise DataError(str(load(source, root).faults[0]))


def mot(root: Path) -> None:
    for sequence in ("MOT17-02-DPM", "MOT17-02-SDP", "MOT17-04-SDP"):
        for frame in (1, 2):
            picture(root / f"train/{sequence}/img1/{frame:06d}.jpg")
        rows = "1,1,3,4,10,20,1,1,1\n1,2,20,4,5,5,0,8,1\n2,1,3,4,10,20,0,1,1\n2,3,3,4,5,5,0,3,1\n"
        write(root / f"train/{sequence}/gt/gt.txt", rows)


def test_mot(tmp_path: Path) -> None:
    root = tmp_path / "set"
    mot(root)
    source = MOT(sequences="*-SDP")
    index = load(source, root)
    assert "dataset=mot" in looks_like(root)
    names = [f"train/{sequence}/img1/{k:06d}.jpg" for sequence in ("MOT17-02-SDP", "MOT17-04-SDP") for k in (1, 2)]
    assert index.images.tolist() == names
    person = ([2, 3, 12, 23], "pedestrian", False)
    assert objects(index, 0) == [person, ([19, 3, 24, 8], "pedestrian", True)]
    assert objects(index, 1) == [([2, 3, 12, 23], "pedestrian", True)], "a car is not there"
    write(root / "train/MOT17-02-SDP/gt/gt.txt", "1,1,3,4\n")
    with pytest.raises(DataError, match=r"gt\.txt: line 1: found '1,1,3,4'; must be frame,id,x,y,width,height"):
        load(source, root)


CURB = {"category": "lane/road curb", "poly2d": [{"vertices": [[1, 1], [9, 9]], "types": "LL", "closed": False}]}


def bdd(category: str, **attributes: bool) -> dict[str, Any]:
    return {"category": category, "attributes": attributes, "box2d": {"x1": 2, "y1": 3, "x2": 12, "y2": 23}}


def test_bdd100k_ignores_what_its_benchmark_does(tmp_path: Path) -> None:
    root = tmp_path / "set"
    labels = [bdd("truck"), bdd("pedestrian", crowd=True), bdd("other vehicle"), bdd("trailer"), bdd("other person")]
    for split in ("train", "val"):
        picture(root / f"images/100k/{split}/0.jpg")
        write(root / f"labels/det_20/det_{split}.json", [{"name": "0.jpg", "labels": [CURB, *labels]}])
    index = load(source := BDD100K(), root)
    assert "dataset=bdd100k" in looks_like(root)
    assert source.splits(root) == ["train", "val"]
    assert index.classes.tolist() == ["pedestrian", "car", "truck"], "in the benchmark's order"
    found = [(name, difficult) for _, name, difficult in objects(index, 0)]
    wanted = [("truck", False), ("pedestrian", True), ("car", True), ("truck", True), ("pedestrian", True)]
    assert found == wanted
    assert "0.jpg: 1 are no objects, such as lanes" in index.notes[:, 1].tolist()


def test_bdd100k_files_of_the_same_pictures(tmp_path: Path) -> None:
    """All releases unpacked into one folder: boxes come first, and one file of them has to be chosen."""
    root = tmp_path / "set"
    picture(root / "images/a.jpg")
    square = {"vertices": [[0, 0], [8, 0], [8, 8], [0, 8]], "types": "LLLL", "closed": True}
    write(
        root / "labels/ins_seg/polygons.json",
        {"frames": [{"name": "a.jpg", "labels": [{"category": "car", "poly2d": [square]}]}]},
    )
    write(root / "labels/det_20/det.json", [{"name": "a.jpg", "labels": [bdd("bus")]}])
    assert objects(load(BDD100K(), root), 0) == [([2, 3, 12, 23], "bus", False)]
    assert objects(load(BDD100K(file="labels/ins*/*.json"), root), 0) == [([0, 0, 8, 8], "car", False)]
    write(root / "labels/old/old.json", [{"name": "a.jpg", "labels": [bdd("bus")]}])
    fault = str(load(BDD100K(), root).faults[0])
    assert "old.json: a.jpg is there twice" in fault.replace(str(root), "").replace("images/", "")
    assert "each picture may be there once. dataset.source.file takes some of the files" in fault


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        ({"labels": []}, r"frame 1: found \{'labels': \[\]\}; must have a name"),
        ({"name": "a.jpg", "labels": [{"category": "car", "box2d": {"x1": 1}}]}, "a.jpg: label 1: found .* numbers"),
        ({"name": "a.jpg", "labels": [{"box2d": {"x1": 1, "y1": 1, "x2": 3, "y2": 3}}]}, "must have a category"),
        ({"name": "a.jpg", "labels": ["car"]}, "label 1: found car"),
    ],
)
def test_bdd100k_says_what_is_broken(frame: dict[str, Any], said: str, tmp_path: Path) -> None:
    root = tmp_path / "set"
    picture(root / "a.jpg")
    picture(root / "b.jpg")
    write(root / "x.json", [frame, {"name": "b.jpg", "labels": [bdd("car")]}])
    with pytest.raises(DataError, match=said):
        raise DataError(str(load(BDD100K(), root).faults[0]))


def test_curves_of_scalabel_bulge() -> None:
    """A circle of four quarters: a cubic curve is within 0.03 % of it."""
    k = 0.5522847
    quarter = np.array([(1, 0), (1, k), (k, 1)])
    turn = np.array([(0, 1), (-1, 0)])
    quarters = [quarter @ np.linalg.matrix_power(turn, number) for number in range(4)]
    points = [(float(x), float(y)) for one in quarters for x, y in one]
    corners = np.array(curved(points, "LCC" * 4)).reshape(-1, 2)
    assert len(corners) == 4 * 8
    assert np.allclose(np.hypot(*corners.T), 1, atol=3e-4)
    assert curved(points[:4], "LCLL") == [side for point in points[:4] for side in point]


def wider_face(root: Path) -> None:
    for split in ("train", "val"):
        folder = f"0--Parade/0_Parade {split}"
        for number in range(2):
            picture(root / f"WIDER_{split}/images/{folder}_{number}.jpg")
        faces = ["2 3 10 20 0 0 0 0 0 0 ", "20 3 5 5 2 0 0 1 0 0 "]
        rows = [f"{folder}_0.jpg", "2", *faces, f"{folder}_1.jpg", "0", "0 0 0 0 0 0 0 0 0 0 "]
        write(root / f"wider_face_split/wider_face_{split}_bbx_gt.txt", "\n".join(rows) + "\n")


def test_wider_face(tmp_path: Path) -> None:
    root = tmp_path / "set"
    wider_face(root)
    source = WiderFace()
    index = load(source, root)
    assert "dataset=wider_face" in looks_like(root)
    assert (source.splits(root), index.classes.tolist()) == (["train", "val"], ["face"])
    assert index.images[0] == "WIDER_train/images/0--Parade/0_Parade train_0.jpg"
    assert objects(index, 0) == [([2, 3, 12, 23], "face", False), ([20, 3, 25, 8], "face", True)]
    assert objects(index, 1) == []
    assert index.labelled["boxes"].all(), "a picture without faces is annotated"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("a.jpg\n2\n1 2 3 4 0 0 0 0 0 0\nb.jpg\n", r"line 4: found 'b.jpg'; must be x, y, width, height"),
        ("a.jpg\n1 2 3 4\n", r"line 2: found '1 2 3 4' under line 1; must be a count"),
        ("a.jpg\n1\n", r"line 1: found ''; must be x"),
        ("a.jpg", "under line 1; must be a count"),
    ],
)
def test_lists_of_wider_face_that_do_not_add_up(rows: str, said: str, tmp_path: Path) -> None:
    root = tmp_path / "set"
    picture(root / "a.jpg")
    write(root / "x_bbx_gt.txt", rows)
    with pytest.raises(DataError, match=said):
        load(WiderFace(), root)


PEOPLE = [
    {"instanceId": 24000, "bbox": [1, 0, 3, 7], "bboxVis": [1, 0, 3, 4], "label": "pedestrian"},
    {"instanceId": 25000, "bbox": [4, 1, 2, 4], "bboxVis": [4, 1, 2, 4], "label": "rider"},
    {"instanceId": -1, "bbox": [6, 0, 4, 2], "bboxVis": [6, 0, 4, 2], "label": "ignore"},
]


def citypersons(root: Path) -> None:
    for split, city in (("train", "aachen"), ("val", "lindau")):
        scene(root, f"{city}_0_1", STREET, split)
        content = {"imgHeight": 8, "imgWidth": 10, "objects": PEOPLE}
        write(root / f"gtBboxCityPersons/{split}/{city}/{city}_0_1_gtBboxCityPersons.json", content)


def test_citypersons(tmp_path: Path) -> None:
    root = tmp_path / "set"
    citypersons(root)
    source = CityPersons()
    index = load(source, root)
    assert "dataset=citypersons" in looks_like(root)
    assert source.splits(root) == ["train", "val"]
    ignored = [6, 0, 10, 2]
    assert objects(index, 0) == [
        ([1, 0, 4, 7], "pedestrian", False),
        ([4, 1, 6, 5], "rider", False),
        (ignored, "pedestrian", True),
        (ignored, "rider", True),
    ]
    assert objects(load(CityPersons(box="visible"), root), 0)[0][0] == [1, 0, 4, 4]


def test_boxes_of_citypersons_beside_the_maps_of_cityscapes(tmp_path: Path) -> None:
    root = tmp_path / "set"
    citypersons(root)
    people = Part(source=CityPersons(), root=".", kinds=["boxes"])
    source = Join(parts={"people": people, "maps": Part(source=Cityscapes(), root=".", kinds=["semantic"])})
    index = load(source, root)
    assert index.labelled["boxes"].all()
    assert index.labelled["semantic"].all()
    assert source.class_names_of(root, "boxes") == ["pedestrian", "rider"]
    assert source.read(root, index, 0, "semantic")[2, 1] == index.classes.tolist().index("car") + 1
    assert (source.split(root, "train"), source.split(root, "val")) == (
        ["aachen_0_1_leftImg8bit"],
        ["lindau_0_1_leftImg8bit"],
    )


def test_what_is_ignored_is_counted_apart_and_shows_no_class(tmp_path: Path) -> None:
    """A region for every class is one region: ten classes of VisDrone would have it otherwise, and be shown by it."""
    root = tmp_path / "set"
    visdrone(root)
    data = DataModule(
        root=str(root), classes=NAMES, split="train", val_split="val", val_fraction=0, test_split="val", size=32,
        batch_size=1, eval_batch_size=1, workers=0, labelled_per_batch=1, cache_dir=str(tmp_path / "cache"),
        augment=Augment(), source=VisDrone(),
    )  # fmt: skip
    rows = data.split_rows("train")
    found = data.describe(rows)
    assert (found["objects"], found["difficult"]) == (1, 2)
    assert {name for name, count in found["objects_per_class"].items() if count} == {"car"}
    assert data.images_per_class(rows) == dict.fromkeys(NAMES, 0) | {"car": 1}
    assert data.shown(rows).tolist() == [[0, NAMES.index("car")]]
    facts = class_facts(data, rows, (32, 32))
    assert {name: own["objects"] for name, own in facts.items()} == dict.fromkeys(NAMES, 0.0) | {"car": 1.0}


def sequence(folder: Path, rows: str, digits: int = 6) -> None:
    for frame in (1, 2):
        picture(folder / f"img1/{frame:0{digits}d}.jpg")
    write(folder / "gt/gt.txt", rows)


def test_other_sequences_than_of_mot17(tmp_path: Path) -> None:
    """Of MOT15, classes are -1; DanceTrack's frames have 8 digits; a frame without a row shows nobody."""
    root = tmp_path / "set"
    sequence(root / "train/ADL-1", "1,1,3,4,10,20,1,-1,-1,-1\n")
    sequence(root / "train/dance0001", "2,1,3,4,10,20,1,1,1\n2,2,3,4,10,20,1,11,1\n", digits=8)
    index = load(MOT(), root)
    person = [([2, 3, 12, 23], "pedestrian", False)]
    assert [objects(index, row) for row in range(4)] == [person, [], [], person]
    assert index.labelled["boxes"].all()
    assert "1 rows of dance0001" in index.notes[:, 1].tolist()


def test_a_sequence_of_mot17_is_read_once(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for detector in ("DPM", "FRCNN", "SDP"):
        sequence(root / f"train/MOT17-02-{detector}", "1,1,3,4,10,20,1,1,1\n")
    sequence(root / "train/MOT17-04-SDP", "1,1,3,4,10,20,1,1,1\n")
    folders = {str(path).split("/")[1] for path in load(MOT(), root).images.tolist()}
    assert folders == {"MOT17-02-DPM", "MOT17-04-SDP"}
    assert len(load(MOT(sequences="*-SDP"), root)) == 4


def test_videos_of_visdrone_and_kitti(tmp_path: Path) -> None:
    """A text file for the frames of a folder, whose rows begin with the frame and the object."""
    drone, car = tmp_path / "drone", tmp_path / "car"
    for frame in (1, 2):
        picture(drone / f"VisDrone2019-VID-train/sequences/uav0_v/{frame:07d}.jpg")
        picture(car / f"training/image_02/0000/{frame - 1:06d}.png")
    write(drone / "VisDrone2019-VID-train/annotations/uav0_v.txt", "1,0,2,3,10,20,1,4,0,0\n1,1,2,3,10,20,1,4,0,x\n")
    rows = "0 0 Car 0 0 -1.5 2 3 12 23 1 1 1 1 1 1 1\n0 -1 DontCare -1 -1 -10 20 3 25 8 -1 -1 -1 -1 -1 -1 -1\n"
    write(car / "training/label_02/0000.txt", rows)
    assert "dataset=visdrone" in looks_like(drone)
    assert "dataset=kitti" in looks_like(car)
    index = load(VisDrone(), drone)
    assert objects(index, 0)[0] == ([2, 3, 12, 23], "car", False)
    assert [len(objects(index, row)) for row in range(2)] == [2, 0]
    index = load(KITTI(), car)
    assert objects(index, 0) == [([2, 3, 12, 23], "Car", False), ([20, 3, 25, 8], "Car", True)]
    assert objects(index, 1) == []
    write(car / "training/label_02/0000.txt", rows + "7 0 Car 0 0 0 2 3 12 23 1 1 1 1 1 1 1\nx 0 Car\n")
    faults = load(
        KITTI(),
        car,
    ).faults.tolist()
    assert "found no picture 'training/image_02/0000/7.jpg'" in faults[0]
    assert "found no picture 'training/image_02/0000/x.jpg'" in faults[1]
