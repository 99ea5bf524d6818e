"""A miniature in every layout that the package reads, and the data module that serves it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2]))

from layout import Layout
from tests.data.sources.test_driving import idd, polygons
from tests.miniatures import write_arrays, write_coco, write_pascal, write_streets
from tools import TOOLS

from vjo_train.data.clips import Clips
from vjo_train.data.scenes import Scenes
from vjo_train.data.shape_painting import CLASSES
from vjo_train.data.shapes import Shapes
from vjo_train.data.sources.base import Source
from vjo_train.data.sources.cityscapes import Cityscapes
from vjo_train.data.sources.class_masks import ClassMasks
from vjo_train.data.sources.coco.panoptic import CocoPanoptic
from vjo_train.data.sources.coco.source import COCO
from vjo_train.data.sources.coco.stuff import CocoStuff
from vjo_train.data.sources.folders import Folders
from vjo_train.data.sources.instance_files import InstanceFiles
from vjo_train.data.sources.join import Join
from vjo_train.data.sources.map_files import MapFiles
from vjo_train.data.sources.mask_files import MaskFiles
from vjo_train.data.sources.mixture import Mixture, Part
from vjo_train.data.sources.pascal_context.source import PascalContext
from vjo_train.data.sources.polygons import Polygons
from vjo_train.data.sources.scenes import SceneFiles
from vjo_train.data.sources.table import Table
from vjo_train.data.sources.unannotated import SPLIT, Unannotated
from vjo_train.data.sources.voc.beside import Beside
from vjo_train.data.sources.voc.source import VOC
from vjo_train.data.sources.yolo.source import YOLO
from vjo_train.heads.detection.coco import run_lengths

SPLITS = {"train": 3, "val": 1, "test": 2}
BOXES, MASKS, MAPS = ("boxes", "classes"), ("masks", "boxes"), ("semantic",)


def shapes(root: Path) -> None:
    """The devkit's layout."""
    Shapes(train=4, val=1, test=2, image_size=32, masked=1.0).write(root)


def scenes(root: Path) -> None:
    """The devkit's layout, and depth, normals, points and a category."""
    Scenes(train=4, val=1, test=2, image_size=32, masked=1.0).write(root)


def clips(root: Path) -> None:
    """The devkit's layout, and sequences."""
    Clips(train=4, val=1, test=2, frames=4, objects=2, image_size=32, masked=1.0).write(root)


def picture(path: Path, seed: int = 0) -> None:
    """Noise of 40 x 30 pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (30, 40, 3), np.uint8)).save(path)


def numbers(path: Path, values: Any, kind: Any = np.uint8) -> None:
    """A PNG of numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, kind)).save(path)


def names(ending: str = "jpg") -> list[tuple[str, str, int]]:
    """(split, file, number) of the pictures of `SPLITS`."""
    return [(split, f"{k}.{ending}", k) for split, count in SPLITS.items() for k in range(count)]


def beside(root: Path) -> None:
    """XML beside the pictures."""
    box = "<bndbox><xmin>4</xmin><ymin>5</ymin><xmax>20</xmax><ymax>22</ymax></bndbox>"
    for split, name, k in names():
        picture(root / split / name, k)
        content = f"<filename>{name}</filename><size><width>40</width><height>30</height><depth>3</depth></size>"
        content += f"<object><name>{('cat', 'dog')[k % 2]}</name>{box}</object>"
        (root / split / name).with_suffix(".xml").write_text(f"<annotation>{content}</annotation>")


def yolo(root: Path) -> None:
    """Boxes, outlines and points in text files."""
    lines = {"train": "0 0.1 0.1 0.6 0.1 0.6 0.7 0.1 0.7\n1 0.4 0.4 0.6 0.4 0.6 0.7", "val": "1 0.5 0.5 0.3 0.4"}
    for split, name, k in names():
        picture(root / f"images/{split}/{name}", k)
        labels = root / f"labels/{split}/{k}.txt"
        labels.parent.mkdir(parents=True, exist_ok=True)
        labels.write_text(f"{lines.get(split, '0 0.5 0.5 0.2 0.2')}\n")
    places = "".join(f"{split}: images/{split}\n" for split in SPLITS)
    (root / "data.yaml").write_text(f"path: .\n{places}names:\n  0: cat\n  1: dog\n")


def folders(root: Path) -> None:
    """A folder of pictures for each class."""
    for split, name, k in names("png"):
        for label in ("cat", "dog"):
            picture(root / split / label / name, k)


def table(root: Path) -> None:
    """A CSV of classes and numbers."""
    rows = ["image,cat,dog,age,split"]
    for split, name, k in names():
        picture(root / f"{split}-{name}", k)
        rows.append(f"{split}-{name},{k % 2},1,{k * 1.5},{split}")
    (root / "labels.csv").write_text("\n".join(rows) + "\n")


def parquet(root: Path) -> None:
    """The same as a Parquet file."""
    from pyarrow import csv, parquet

    table(root)
    parquet.write_table(csv.read_csv(root / "labels.csv"), root / "labels.parquet")
    (root / "labels.csv").unlink()


def masks(root: Path) -> None:
    """Pictures and class maps."""
    for split, name, k in names("png"):
        picture(root / f"images/{split}/{name}", k)
        numbers(root / f"masks/{split}/{name}", np.arange(1200).reshape(30, 40) // 400)


def class_masks(root: Path) -> None:
    """Pictures and a map for each class."""
    for split, name, k in names("png"):
        picture(root / f"images/{split}/{name}", k)
        for number, folder in enumerate("ab"):
            numbers(root / f"{folder}/{split}/{name}", 255 * (np.arange(1200).reshape(30, 40) // 400 == number))


def class_source(**keys: Any) -> ClassMasks:
    """The source that reads them."""
    return ClassMasks(images="images/{split}", masks={name: f"{name}/{{split}}/{{stem}}.png" for name in "ab"}, **keys)


def maps(root: Path) -> None:
    """The same as `masks`, and depth, normals and edges."""
    masks(root)
    for split, name, _ in names("png"):
        numbers(root / f"depth/{split}/{name}", np.full((30, 40), 1500), np.uint16)
        numbers(root / f"normals/{split}/{name}", np.broadcast_to([255, 128, 128], (30, 40, 3)))
        numbers(root / f"edges/{split}/{name}", np.eye(30, 40))


def instances(root: Path) -> None:
    """Pictures and maps of the numbers of objects."""
    for split, name, k in names("png"):
        picture(root / f"images/{split}/{name}", k)
        values = np.zeros((30, 40))
        values[2:12, 3:20], values[15:25, 8:30] = 1, 2
        numbers(root / f"masks/{split}/{name}", values, np.uint16)


def objects(root: Path) -> None:
    """Pictures and a PNG for each object."""
    for split, name, k in names("png"):
        picture(root / f"images/{split}/{name}", k)
        for number in range(2):
            values = np.zeros((30, 40))
            values[2 + 12 * number : 12 + 12 * number, 3:20] = 255
            numbers(root / f"masks/{split}/{k}/{number}.png", values)


def pascal(root: Path) -> None:
    """PASCAL-Context."""
    part = np.zeros((12, 16), np.uint8)
    part[2:8, 2:8] = 1
    for split, _, k in names():
        write_pascal(root, f"{split}{k}", parts={"head": part} if k != 1 else None, split=split)


def streets(root: Path) -> None:
    """Cityscapes."""
    write_streets(root, SPLITS)


def street_polygons(root: Path) -> None:
    """Cityscapes' polygons."""
    for split, count in SPLITS.items():
        for k in range(count):
            polygons(root, split=split, name=str(k))


def nyuv2(root: Path) -> None:
    """Arrays."""
    write_arrays(root, (24, 32), SPLITS)


def coco(root: Path) -> None:
    """COCO, an object with run lengths among them."""
    write_coco(root, SPLITS)
    path = root / "annotations/instances_train.json"
    content = json.loads(path.read_text())
    content["annotations"][0]["segmentation"] = {"counts": [700, 20, 3376], "size": [64, 64]}
    content["annotations"][1]["segmentation"] = run_lengths(np.eye(64, dtype=bool))
    path.write_text(json.dumps(content))


def stuff(root: Path) -> None:
    """COCO's stuff: run lengths in a split, PNGs in the others."""
    coco(root)
    for split in SPLITS:
        (root / f"annotations/panoptic_{split}.json").unlink()
        (root / f"annotations/instances_{split}.json").rename(root / f"annotations/stuff_{split}.json")
        for path in (root / f"annotations/panoptic_{split}").iterdir():
            if split != "train":
                numbers(root / f"annotations/stuff_{split}_pixelmaps/{path.name}", np.full((64, 64), 7))
            path.unlink()


def plain(root: Path) -> None:
    """Pictures alone."""
    for split, name, k in names("png"):
        picture(root / split / name, k)


def mixture(root: Path) -> None:
    """Boxes of one layout, maps of another, classes of a third."""
    beside(root / "boxes")
    masks(root / "maps")
    folders(root / "classes")


def mixed() -> Source:
    """What reads it."""
    maps_at = MaskFiles(images="images/{split}", masks="masks/{split}/{stem}.png")
    return Mixture(
        parts={
            "boxes": Part(source=Beside(), root="boxes"),
            "maps": Part(source=maps_at, root="maps", names=["cat", "rug"]),
            "classes": Part(source=Folders(), root="classes", kinds=["category"], classes={"dog": "wolf"}),
        }
    )


def join(root: Path) -> None:
    """Boxes and maps of the same pictures."""
    beside(root / "boxes")
    masks(root / "maps")


def joined() -> Source:
    """What reads it."""
    maps_at = MaskFiles(images="images/{split}", masks="masks/{split}/{stem}.png")
    return Join(
        key="([^/]+/[^/]+)$",
        parts={
            "boxes": Part(source=Beside(), root="boxes"),
            "maps": Part(source=maps_at, root="maps", names=["cat", "rug"]),
        },
    )


def _by_split(kind: type[Any], **files: Any) -> Callable[[], Source]:
    placed = {key: f"{folder}/{{split}}/{{stem}}.png" for key, folder in files.items()}
    return lambda: kind(images="images/{split}", **placed)


LAYOUTS: Mapping[str, Layout] = {
    **TOOLS,
    "voc": Layout(shapes, VOC, ("boxes", "semantic", "masks"), CLASSES),
    "idd": Layout(idd, VOC, BOXES, splits=("train", None, "val")),
    "voc_beside": Layout(beside, Beside, BOXES),
    "scenes": Layout(scenes, SceneFiles, ("keypoints", "depth", "normals", "edges", "category", "masks")),
    "clips": Layout(clips, VOC, MASKS, CLASSES),
    "coco": Layout(coco, COCO, (*MASKS, "semantic", "keypoints")),
    "panoptic": Layout(coco, CocoPanoptic, (*MASKS, "semantic")),
    "stuff": Layout(stuff, CocoStuff, MAPS),
    "cityscapes": Layout(streets, Cityscapes, (*MASKS, "semantic", "depth")),
    "polygons": Layout(street_polygons, Polygons, (*MASKS, "semantic")),
    "yolo": Layout(yolo, YOLO, MASKS),
    "folders": Layout(folders, Folders, ("category", "classes")),
    "table": Layout(table, lambda: Table(numbers=["age"]), ("classes", "numbers")),
    "parquet": Layout(parquet, lambda: Table(file="labels.parquet", numbers=["age"]), ("classes", "numbers")),
    "masks": Layout(masks, _by_split(MaskFiles, masks="masks"), MAPS, ("a", "b")),
    "class_masks": Layout(class_masks, class_source, MAPS, ("a", "b")),
    "instances": Layout(instances, _by_split(InstanceFiles, objects="masks"), MASKS, ("cell",)),
    "objects": Layout(
        objects,
        lambda: InstanceFiles(images="images/{split}", objects="masks/{split}/{stem}/*.png"),
        MASKS,
        ("cell",),
    ),
    "maps": Layout(
        maps,
        _by_split(MapFiles, masks="masks", depth="depth", normals="normals", edges="edges"),
        ("semantic", "depth", "normals", "edges"),
        ("a", "b"),
    ),
    "nyuv2": Layout(
        nyuv2,
        lambda: MapFiles(
            images="{split}/image",
            masks="{split}/label/{stem}.npy",
            depth="{split}/depth/{stem}.npy",
            normals="{split}/normal/{stem}.npy",
            first=0,
            ignore=[-1],
            depth_step=1.0,
        ),
        ("semantic", "depth", "normals"),
        tuple("abcdefghijklm"),
    ),
    "pascal_context": Layout(pascal, PascalContext, ("semantic", "human_parts", "normals", "saliency", "edges")),
    "unannotated": Layout(plain, Unannotated, (), ("a",), splits=(SPLIT, None, SPLIT)),
    "join": Layout(join, joined, ("boxes", "semantic")),
    "mixture": Layout(mixture, mixed, ("boxes", "semantic", "category")),
}
"""Name -> the layout."""
