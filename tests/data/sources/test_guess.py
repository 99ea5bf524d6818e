"""A wrong layout says what it looks like."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Answer
from vjo_train.data.sources.guess.folders import guesses, looks_like
from vjo_train.data.sources.voc.source import VOC
from vjo_train.data.sources.yolo.source import YOLO
from vjo_train.errors import DataError

FILES = {
    "coco": {"annotations/instances_val.json": '{"info": {}, "images": []}', "val/a.jpg": ""},
    "yolo": {"my.yaml": "path: .\nnames: [a]\n", "images/train/a.jpg": ""},
    "pascal_context": {"JPEGImages/a.jpg": "", "human_parts/a.mat": ""},
    "nyuv2": {"train/image/0.npy": "", "train/normal/0.npy": ""},
    "cityscapes_mtan": {"train/image/0.npy": "", "train/label_7/0.npy": ""},
    "cityscapes": {"leftImg8bit/train/aachen/a.png": "", "gtFine/train/aachen/b.png": ""},
    "voc": {"VOC2012/JPEGImages/a.jpg": "", "VOC2012/Annotations/a.xml": ""},
    "voc_beside": {"train/a.jpg": "", "train/a.xml": "<annotation></annotation>"},
    "masks": {"images/train/a.jpg": "", "masks/train/a.png": ""},
    "folders": {"train/cat/a.jpg": "", "train/dog/b.png": "", "val/cat/c.jpg": ""},
    "labelme": {"a.jpg": "", "a.json": '{"shapes": [], "imagePath": "a.jpg"}'},
    "cvat": {"images/a.jpg": "", "annotations.xml": "<?xml version='1.0'?><annotations></annotations>"},
    "via": {"train/a.jpg": "", "train/via_region_data.json": '{"a.jpg1": {"filename": "a.jpg", "regions": []}}'},
    "bdd100k": {
        "images/100k/train/a.jpg": "",
        "labels/det_20/det_train.json": '[{"labels": [{"category": "car", "box2d": {}}]}]',
    },
    "aperio": {"Annotations/a.xml": "<Annotations></Annotations>", "Tissue Images/a.tif": ""},
    "createml": {"train/a.jpg": "", "train/x.json": '[{"image": "a.jpg", "annotations": [{"coordinates": {}}]}]'},
    "supervisely": {"meta.json": "{}", "ds/img/a.jpg": "", "ds/ann/a.jpg.json": "{}"},
    "label_studio": {"a.jpg": "", "project-1.json": '[{"id": 1, "annotations": [{"id": 1, "result": []}]}]'},
    "kitti": {"training/image_2/0.png": "", "training/label_2/0.txt": ""},
    "box_table": {"images/a.jpg": "", "train_labels.csv": "filename,width,height,class,xmin,ymin,xmax,ymax\n"},
    "table": {"train/a1.jpg": "", "train.csv": "id_code,diagnosis\na1,2\n"},
    "": {"a.jpg": "", "notes.json": '{"x": 1}', "b.yaml": "x: 1"},
}


def write(root: Path, layout: str) -> Path:
    for name, text in FILES[layout].items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize("layout", FILES)
def test_each_layout_is_told_from_the_others(tmp_path, layout):
    said = looks_like(write(tmp_path, layout))
    assert (f"dataset={layout} dataset.root={tmp_path}" in said) if layout else said == ""


@pytest.mark.parametrize(
    ("pictures", "maps", "keys"),
    [
        ("PNGImages/p{}.png", "PedMasks/p{}_mask.png", ("PNGImages", "PedMasks/{stem}_mask.png")),
        ("ISIC_Input/{}.jpg", "ISIC_GroundTruth/{}_segmentation.png", ("ISIC_Input", "ISIC_GroundTruth/{stem}_segm")),
        ("images/{}.jpg", "masks/{}.jpg", ("", "masks/{stem}.jpg")),
        ("images/train/{}.jpg,images/val/{}.jpg", "annotations/train/{}.png,annotations/val/{}.png",
         ("images/{split}", "annotations/{split}/{stem}.png")),
        ("train/{}.png,val/{}.png", "trainannot/{}.png,valannot/{}.png", ("{split}", "{split}annot/{stem}.png")),
        ("i/train/rome/{}.jpg,i/val/rome/{}.jpg", "gt/train/rome/{}_gt.png,gt/val/rome/{}_gt.png",
         ("i/{split}", "gt/{split}/{stem}_gt.png")),
    ],
)  # fmt: skip
def test_folders_of_maps_are_told_by_their_names(
    pictures: str, maps: str, keys: tuple[str, str], tmp_path: Path
) -> None:
    for names, values in ((pictures, range(0, 256, 8)), (maps, [0, 3] * 16)):
        for name in (one.format(k) for one in names.split(",") for k in range(3)):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.tile(np.array(values, np.uint8), (8, 1))).save(tmp_path / name)
    (guess,) = guesses(tmp_path)
    assert guess.choice == "masks"
    assert all(key in guess.overrides for key in keys)
    assert ("Maps hold 0, 3." in guess.note) == (".jpg" not in maps)


def test_boxes_maps_tables_and_lists_beside_one_another(tmp_path: Path) -> None:
    """Kvasir-SEG has boxes in JSON and maps, ChestX-ray14 two tables, pictures in several folders, and lists."""
    kvasir, chest = tmp_path / "kvasir", tmp_path / "chest"
    for path in (*(kvasir / f"{kind}/c{k}.jpg" for kind in ("images", "masks") for k in range(3)),
                 *(chest / f"images_00{k // 8}/images/p{k}.png" for k in range(16))):  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 255).save(path)
    box = '{"label": "polyp", "xmin": 1, "ymin": 1, "xmax": 5, "ymax": 5}'
    (kvasir / "kavsir_bboxes.json").write_text(f'{{"c0": {{"height": 8, "width": 8, "bbox": [{box}]}}}}')
    boxes, maps = guesses(kvasir)
    assert (boxes.choice, boxes.keys, maps.choice) == ("box_lists", (), "masks")
    (kvasir / "kavsir_bboxes.json").write_text(f'[{{"image": "c0", "width": 8, "bbox": [1, 1, 4, 4]}}, {box}]')
    boxes, maps = guesses(kvasir)
    assert (boxes.choice, boxes.keys, maps.choice) == ("box_table", ("dataset.classes=[NAME]",), "masks")
    rows = [f"p{k}.png,Mass,{k}" for k in range(16)]
    (chest / "Data_Entry_2017.csv").write_text("\n".join(["Image Index,Finding Labels,Patient ID", *rows]))
    (chest / "BBox_List_2017.csv").write_text("Image Index,Finding Label,Bbox [x,y,w,h],,,\np0.png,Mass,1,1,4,4,,,\n")
    (chest / "train_val_list.txt").write_text("p0.png\np1.png\n")
    (chest / "test_list.txt").write_text("p9.png\n")
    (chest / "README_train.txt").write_text("The pictures")
    lists = ("dataset.split=train_val_list.txt", "dataset.test_split=test_list.txt")
    boxes, labels = guesses(chest)
    assert (boxes.choice, boxes.keys) == ("box_table", lists)
    assert labels.choice == "table"
    assert labels.keys == ("dataset.source.file=Data_Entry_2017.csv", "dataset.source.images=.", *lists)


def test_what_is_not_read_is_said(command: Callable[..., Answer], tmp_path: Path) -> None:
    files = {"images/labelTxt/a.txt": "x", "train-rle.csv": "ImageId, EncodedPixels\na,1 2 3 4"}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
        status, out, _ = command("vjo-data", "guess", str(tmp_path))
        assert status == 0
        assert "not read; " in out
        (tmp_path / name).unlink()


def test_folders_of_pictures_of_other_things_are_no_classes(tmp_path: Path) -> None:
    for name in ("train/images/a.jpg", "train/depth/a.jpg", "val/images/a.jpg", "val/depth/a.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    assert looks_like(tmp_path) == ""


def test_labels_without_a_yaml_file_are_yolo(tmp_path):
    for name in ("images/train/a.jpg", "labels/train/a.txt"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("")
    assert "dataset=yolo" in looks_like(tmp_path)


def test_the_sources_say_it(tmp_path):
    with pytest.raises(
        DataError, match=r"holds neither JPEGImages/ .*It looks like COCO \(annotations/instances_val\.json\)"
    ):
        VOC().root(write(tmp_path / "coco", "coco"))
    with pytest.raises(DataError, match=r"holds no data\.yaml.*It looks like PASCAL VOC"):
        YOLO().root(write(tmp_path / "voc", "voc"))


def test_a_file_as_root_says_it_too(command: Callable[..., Answer]):
    file = write(Path.cwd(), "coco") / "annotations/instances_val.json"
    status, _, err = command("vjo-data", "summary", "dataset=voc", f"dataset.root={file}")
    assert status == 2
    assert "which is no folder" in err
    assert f"It looks like COCO: dataset=coco dataset.root={file} reads it." in err


def test_guess_looks_into_folders(command: Callable[..., Answer], tmp_path: Path) -> None:
    for layout in ("coco", "voc", "folders"):
        write(tmp_path / "all" / layout, layout)
    status, out, _ = command("vjo-data", "guess", str(tmp_path / "all"))
    assert status == 0
    for layout in ("coco", "voc"):
        assert f"  vjo-data summary dataset={layout} dataset.root={tmp_path}/all/{layout}\n" in out
    assert "dataset=join trains on all of them at once" in out
    for folder in ("images/train", "maps/masks/train"):  # maps of the same pictures beside them
        path = tmp_path / "all" / folder / "a.png"
        path.parent.mkdir(parents=True)
        Image.new("L", (8, 8)).save(path)
    _, out, _ = command("vjo-data", "guess", str(tmp_path / "all"))
    assert f"  vjo-data summary dataset=masks dataset.root={tmp_path}/all" in out
    assert f"  vjo-data summary dataset=coco dataset.root={tmp_path}/all/coco\n" in out
    assert command("vjo-data", "guess", str(write(tmp_path / "none", "")))[2].startswith(
        f"vjo-data: error: guess: {tmp_path}/none looks like no layout"
    )
    assert "guess: found 'nowhere', which does not exist" in command("vjo-data", "guess", "nowhere")[2]
    assert "guess: takes one folder or file" in command("vjo-data", "guess")[2]


def test_a_file_of_names_comes_with_the_maps(tmp_path: Path) -> None:
    """coco128's: folders such as `train2017`, and a YAML file above the maps; others are of other annotations."""
    for split in ("train2017", "val2017"):
        for name in ("images", "semantic/masks"):
            (tmp_path / name / split).mkdir(parents=True)
            for k in range(3):
                Image.fromarray(np.full((8, 8), 7 * k, np.uint8)).save(tmp_path / name / split / f"{k}.png")
    for folder in ("boxes", "semantic"):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "config.yaml").write_text("classes: {0: none, 7: road, 14: car}")
    guess = guesses(tmp_path)[0]
    assert "dataset.source.images=\"'images/{split}2017'\"" in guess.overrides
    assert "dataset.source.values=semantic/config.yaml" in guess.overrides
    assert "NAME" not in guess.overrides
