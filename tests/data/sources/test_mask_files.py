"""Class maps beside pictures: how they are paired and what their values mean."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Answer
from tests.tiny import BACKBONE
from vjo_train.data.sources.mask_files import MaskFiles
from vjo_train.data.sources.opened import load_index
from vjo_train.errors import ConfigError, DataError

VALUES = np.array([[0, 1, 2], [2, 255, 1]])


def save(path: Path, pixels: Any, kind: Any = np.uint8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, kind)).save(path)


def picture(path: Path) -> None:
    save(path, np.zeros((2, 3, 3)))


def maps(source: MaskFiles, root: Path, classes: Sequence[str]) -> dict[str, Any]:
    index = load_index(source, root, classes, root.parent / "cache")
    known = np.flatnonzero(index.labelled["semantic"]).tolist()
    return {str(index.ids[row]): source.read(root, index, row, "semantic").tolist() for row in known}


def test_maps_are_found_by_name_and_may_be_missing(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for name in ("a.jpg", "deep/b.png", "c.png"):
        picture(root / "images" / name)
    save(root / "masks/a.png", VALUES)
    save(root / "masks/deep/b.png", VALUES, np.uint16)
    source = MaskFiles()
    assert maps(source, root, ["road", "car"]) == {
        "images/a.jpg": VALUES.tolist(),
        "images/deep/b.png": VALUES.tolist(),
    }
    assert sorted(chain(*(source.split(root, name) for name in ("train", "val", "test")))) == [
        "images/a.jpg", "images/c.png", "images/deep/b.png"
    ]  # fmt: skip
    with pytest.raises(DataError, match=r"masks/a\.png: found the value 2; allowed are 0\.\.1 and \[255\]"):
        maps(source, root, ["road"])
    with pytest.raises(DataError, match=r"dataset\.classes: .* names no classes"):
        source.class_names(root)


def test_values_may_begin_at_the_first_class_and_be_ignored(tmp_path: Path) -> None:
    root = tmp_path / "set"
    picture(root / "images/val/a.jpg")
    save(root / "annotations/val/a.png", VALUES)
    keys = {"images": "images/{split}", "masks": "annotations/{split}/{stem}.png"}
    source = MaskFiles(**keys, first=0, ignore=[255])
    assert maps(source, root, ["a", "b", "c"]) == {"images/val/a.jpg": [[1, 2, 3], [3, 255, 2]]}
    assert source.splits(root) == ["val"]
    assert maps(MaskFiles(**keys, ignore=[0, 255]), root, ["a", "b"])["images/val/a.jpg"] == [[255, 1, 2], [2, 255, 1]]
    for wrong, missing in (("masks/a.png", "stem"), ("masks/{stem}.png", "split")):
        with pytest.raises(ConfigError, match=rf"dataset\.source\.masks: found '.*'; must hold \{{{missing}\}}"):
            MaskFiles(images="images/{split}", masks=wrong)


def test_values_with_gaps_are_named(tmp_path: Path) -> None:
    """As COCO's categories are: by a mapping, or by the YAML file beside the maps."""
    root = tmp_path / "set"
    picture(root / "images/a.jpg")
    save(root / "masks/a.png", [[0, 7, 200], [300, 9, 255]], np.uint16)
    found = "images/a.jpg"
    given = MaskFiles(values={"road": 7, "car": 200})
    assert given.class_names(root) == ["road", "car"]
    assert maps(given, root, ["road", "car"])[found] == [[0, 1, 2], [255, 255, 255]]
    assert maps(given, root, ["car"])[found] == [[0, 0, 1], [255, 255, 255]]  # a class that is not wanted
    file = root / "config.yaml"
    source = MaskFiles(values="config.yaml", ignore=[0])
    for content in ("classes: {0: none, 7: road, 200: car}", "names: {200: car, 0: none, 7: road}"):
        file.write_text(content)
        names = sorted(source.class_names(root))
        assert names == ["car", "road"]
        assert maps(source, root, names)[found] == [[255, 2, 1], [255, 255, 255]]
    lists = {
        "codes.txt": "none\n\nroad\ncar\n",
        "_classes.csv": "Pixel Value, Class\n0, none\n1, road\n2, car\n",
        "config.json": '{"labels": [{"name": "x--y", "readable": "none"}, {"readable": "road"}, {"readable": "car"}]}',
    }
    for name, content in lists.items():
        (root / name).write_text(content)
        assert MaskFiles(values=name).class_names(root) == ["none", "road", "car"], "from 0 on"
        save(root / "masks/a.png", [[0, 1, 2], [3, 1, 255]], np.uint8)
        assert maps(MaskFiles(values=name), root, ["none", "road", "car"])[found] == [[1, 2, 3], [255, 2, 255]]
    (root / "_classes.csv").write_text("Pixel Value, Class\nroad\n")
    with pytest.raises(DataError, match=r"_classes\.csv: found other rows than of a value and a name"):
        MaskFiles(values="_classes.csv").class_names(root)
    with pytest.raises(ConfigError, match=r"dataset\.source\.values: found it beside palette"):
        MaskFiles(values="config.yaml", palette="colours.txt")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("classes: [", "no YAML file"),
        ("train: x", "names no classes; must have `classes"),
        ("classes: {1: road, 2: road}", "found 'road' twice, with the values 1 and 2"),
        ("classes: {road: 1}", "found 'road': 1; must be a value in 0..65535 and a name"),
        ("classes: {-1: road}", "found -1: 'road'"),
        (None, "cannot be read"),
    ],
)
def test_a_broken_file_of_values_is_named(tmp_path: Path, content: str | None, said: str) -> None:
    if content is not None:
        (tmp_path / "config.yaml").write_text(content)
    with pytest.raises(DataError, match=rf"config\.yaml: {said}"):
        MaskFiles(values="config.yaml").class_names(tmp_path)


def test_white_is_the_class_of_black_and_white_maps(tmp_path: Path) -> None:
    """As of ISIC, Kvasir, DRIVE, ...: 255 is not what is ignored there."""
    root = tmp_path / "set"
    shown = np.zeros((32, 48))
    shown[8:24, 8:40] = 255
    for name, ending in (("a", "png"), ("b", "jpg"), ("c", "png")):
        save(root / f"images/{name}.jpg", np.zeros((32, 48, 3)))
        save(root / f"masks/{name}_yes.{ending}", np.stack([shown] * 3, axis=-1) if name == "b" else shown)
    png, jpeg = MaskFiles(masks="masks/{stem}_yes.png"), MaskFiles(masks="masks/{stem}_yes.jpg")
    assert maps(png, root, ["polyp"]) == dict.fromkeys(("images/a.jpg", "images/c.jpg"), (shown > 0).tolist())
    assert maps(jpeg, root, ["polyp"]) == {"images/b.jpg": (shown > 0).tolist()}
    notes = load_index(png, root, ["polyp"], tmp_path / "cache").notes[:, 1].tolist()
    assert notes == ["the maps are black and white: 255 is polyp, 0 is not"]
    with pytest.raises(
        DataError, match=r"b_yes\.jpg: is a JPEG, which does not keep values as they are; must be a PNG"
    ):
        maps(jpeg, root, ["polyp", "lesion"])
    save(root / "masks/c_yes.png", np.where(shown, 1, 0))
    assert maps(png, root, ["polyp"])["images/a.jpg"] == shown.tolist(), "beside 1, 255 is ignored"


def test_maps_that_are_nowhere_are_said(tmp_path: Path) -> None:
    root = tmp_path / "set"
    picture(root / "images/a.jpg")
    save(root / "masks/a.jpg", VALUES)
    with pytest.raises(DataError, match=r"none of its 1 pictures has a map: looked for masks/a\.png, but .* a\.jpg, "):
        maps(MaskFiles(), root, ["road"])
    with pytest.raises(DataError, match=r"looked for labels/a\.png, but there is no such folder"):
        maps(MaskFiles(masks="labels/{stem}.png"), root, ["road"])


def test_maps_among_the_pictures_are_no_pictures(tmp_path: Path) -> None:
    """As of ADE20K's full set."""
    root = tmp_path / "set"
    picture(root / "train/street/a.jpg")
    save(root / "train/street/a_seg.png", VALUES)
    source = MaskFiles(images="{split}", masks="{split}/{stem}_seg.png")
    assert maps(source, root, ["a", "b"]) == {"train/street/a.jpg": VALUES.tolist()}
    assert source.split(root, "train") == ["train/street/a.jpg"]


def test_part_of_a_name_may_be_that_of_the_map(tmp_path: Path) -> None:
    """As of DRIVE and DeepGlobe."""
    root = tmp_path / "set"
    for k in range(3):
        picture(root / f"train/{k}_sat.jpg")
        save(root / f"train/{k}_mask.png", VALUES)
    source = MaskFiles(images="{split}/{stem}_sat.jpg", masks="{split}/{stem}_mask.png")
    assert source.split(source.root(root), "train") == [f"train/{k}_sat.jpg" for k in range(3)]
    assert maps(source, root, ["a", "b"]) == {f"train/{k}_sat.jpg": VALUES.tolist() for k in range(3)}


def test_a_split_may_be_part_of_a_name(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for split in ("train", "val"):
        picture(root / f"{split}_images/a.jpg")
        save(root / f"{split}_masks/a.png", VALUES)
    source = MaskFiles(images="{split}_images", masks="{split}_masks/{stem}.png")
    assert source.splits(root) == ["train", "val"]
    assert maps(source, root, ["a", "b"]) == dict.fromkeys(("train_images/a.jpg", "val_images/a.jpg"), VALUES.tolist())


def test_maps_of_16_bits_keep_their_values(tmp_path: Path) -> None:
    root = tmp_path / "set"
    picture(root / "images/a.jpg")
    save(root / "masks/a.png", np.where(VALUES == 255, 65535, VALUES), np.uint16)
    assert maps(MaskFiles(ignore=[65535]), root, ["a", "b"]) == {"images/a.jpg": VALUES.tolist()}
    with pytest.raises(DataError, match=r"found the value 65535; allowed are 0\.\.2 and \[255\]"):
        maps(MaskFiles(), root, ["a", "b"])


def test_colours_are_named_by_a_palette(tmp_path: Path) -> None:
    root = tmp_path / "set"
    picture(root / "images/a.png")
    save(root / "labels/a_L.png", [[[64, 0, 0], [0, 0, 142], [1, 2, 3]], [[0, 0, 142], [64, 0, 0], [0, 0, 0]]])
    (root / "colours.txt").write_text("64 0 0\t\tBicyclist\n0,0,142,Car\n\n")
    (root / "class_dict.csv").write_text("name,r,g,b\nBicyclist,64,0,0\nCar,0,0,142\n")
    (root / "labelmap.txt").write_text("# label:color_rgb:parts:actions\nBicyclist:64,0,0::\nCar:0,0,142::\n")
    for palette in ("colours.txt", "class_dict.csv", "labelmap.txt", {"Bicyclist": [64, 0, 0], "Car": [0, 0, 142]}):
        source = MaskFiles(masks="labels/{stem}_L.png", palette=palette)
        assert source.class_names(root) == ["Bicyclist", "Car"]
        black = "without a name, it is background"
        assert maps(source, root, ["Bicyclist", "Car"]) == {"images/a.png": [[1, 2, 255], [2, 1, 0]]}, black
        assert maps(source, root, ["Car"]) == {"images/a.png": [[0, 1, 255], [1, 0, 0]]}
    (root / "colours.txt").write_text("64 0 Bicyclist\n")
    with pytest.raises(DataError, match=r"colours\.txt: line 1: found '64 0 Bicyclist'; must be red, green, blue"):
        MaskFiles(masks="labels/{stem}_L.png", palette="colours.txt").class_names(root)


@pytest.mark.slow
def test_a_segmenter_trains_on_it(command: Callable[..., Answer], tmp_path: Path) -> None:
    root = tmp_path / "set"
    for split in ("train", "test"):
        for k in range(5):
            save(root / "images" / split / f"{k}.jpg", np.full((30, 40, 3), 40 * k))
            save(root / "masks" / split / f"{k}.png", np.arange(1200).reshape(30, 40) // 600)
    words = ["dataset=masks", f"dataset.root={root}", "dataset.classes=[road]", "dataset.size=32", "dataset.workers=0"]
    words += ["dataset.source.images='images/{split}'", "dataset.source.masks='masks/{split}/{stem}.png'", "insight=[]"]
    words += ["heads=[semantic]", "heads.semantic.width=16", *BACKBONE, "neck.channels=16"]
    words += ["dataset.batch_size=4", "trainer.max_epochs=1", "trainer.progress=false", "hydra.run.dir=run"]
    assert command("vjo-train", *words)[0] == 0
    assert json.loads(Path("run/results.json").read_text())["counts"]["test"] == {"images": 5, "semantic": 5}


def test_pictures_in_several_folders_with_their_maps_in_one(tmp_path: Path) -> None:
    """As of HAM10000; the folder of the maps is one of the pictures' neighbours."""
    root = tmp_path / "set"
    for number, part in enumerate(("part_1", "part_2")):
        picture(root / part / f"p{number}.jpg")
        save(root / "maps" / f"p{number}_mask.png", [[0, 1, number], [0, 0, 1]])
    source = MaskFiles(images=".", masks="maps/{name}_mask.png")
    wanted = {f"part_{k + 1}/p{k}.jpg": [[0, 1, k], [0, 0, 1]] for k in range(2)}
    assert maps(source, root, ["lesion"]) == wanted
    with pytest.raises(ConfigError, match=r"masks: found 'maps/x\.png'; must hold {stem} or {name}"):
        MaskFiles(masks="maps/x.png")
    with pytest.raises(ConfigError, match=r"masks: found 'maps/{name}\.png'; must hold {split}"):
        MaskFiles(images="{split}", masks="maps/{name}.png")
