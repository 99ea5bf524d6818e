"""Pictures that several data sets annotate: each once, with the labels of all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import Answer
from tests.data.sources.written import document, thing, written
from tests.tiny import BACKBONE
from vjo_train.data.labels.classes import ShownByObjects
from vjo_train.data.sources.coco.source import COCO
from vjo_train.data.sources.join import Join, Part
from vjo_train.data.sources.mask_files import MaskFiles
from vjo_train.data.sources.mixture import Mixture
from vjo_train.data.sources.opened import load_index
from vjo_train.errors import ConfigError, DataError

CLASSES = ["cat", "dog", "bird", "road", "sky"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """`boxes`: of a..d, without outlines; `outlines`: of a..c, a has no object; `maps`: of b..e, in other words."""
    plain = [thing(1, 3, outline=None), thing(2, 7, outline=None), thing(4, 3, (1, 1, 5, 5), None)]
    drawn = [thing(2, 7, (4, 4, 8, 8)), thing(3, 3, (4, 4, 8, 8))]
    for name, letters, things in (("boxes", "abcd", plain), ("outlines", "abc", drawn)):
        found = document([f"{letter}.jpg" for letter in letters], things)
        written(tmp_path / name / "annotations/instances_train.json", found, tmp_path / name / "train")
    for number, letter in enumerate("bcde"):
        for folder, mode, suffix in (("images", "RGB", ".png"), ("masks", "L", ".png")):
            path = tmp_path / "maps" / folder / "train" / (letter + suffix)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new(mode, (40, 30), None if mode == "RGB" else number % 3).save(path)
    return tmp_path


def parts(**changed: Any) -> dict[str, Part]:
    maps = MaskFiles(images="images/{split}", masks="masks/{split}/{stem}.png")
    return {
        "boxes": Part(source=COCO(), root="boxes", kinds=["boxes", "classes"]),
        "outlines": Part(source=COCO(), root="outlines", kinds=["boxes", "masks"]),
        "maps": Part(source=maps, root="maps", names=["street", "sky"], classes={"street": "road"}),
    } | changed


def index_of(source: Join, root: Path) -> Any:
    return load_index(source, root, CLASSES, root / "cache")


def test_a_picture_has_the_labels_of_all_parts(root: Path) -> None:
    source = Join(parts=parts())
    index = index_of(source, root)
    assert source.class_names(root) == CLASSES
    assert source.split(root, "train") == index.ids.tolist() == list("abcde")
    known = {kind: "".join(index.ids[flags].tolist()) for kind, flags in index.labelled.items()}
    assert known == {"boxes": "abcd", "classes": "abcd", "masks": "abc", "semantic": "bcde"}
    folders = [Path(path).parts[-3] if "maps" in path else Path(path).parts[-2] for path in index.images.tolist()]
    assert folders == ["train"] * 4 + ["images"]
    assert all(str(root / "boxes") in path for path in index.images[:4].tolist())
    assert index.objects(3).boxes.tolist() == [[1, 1, 6, 6]]
    assert source.read(root, index, 2, "semantic")[0, 0] == 4  # street is road
    said = index.notes[:, 1].tolist()
    assert "maps: 3 of its 4 pictures are in other parts too" in said
    assert "boxes: 4 of its 4" not in " ".join(said)
    assert not any("unknown" in line for line in said)  # where a class is annotated for other kinds alone


def test_objects_come_with_their_masks_from_one_part(root: Path) -> None:
    source = Join(parts=parts())
    index = index_of(source, root)
    alone = parts()["outlines"].source
    folder = alone.root(root / "outlines")
    theirs = alone.read_index(folder, alone.class_names(folder))
    for row in range(3):  # the boxes of the first part have no masks
        assert index.objects(row).boxes.tolist() == theirs.objects(row).boxes.tolist()
        mine, wanted = source.read(root, index, row, "masks"), alone.read(folder, theirs, row, "masks")
        assert torch.equal(torch.as_tensor(mine), torch.as_tensor(wanted))
    shown = source.read(root, index, 0, "classes")  # the first part says so, though the objects are the second's
    assert shown.tolist()[:3] == [1, -1, -1]
    own = source.read(root, index, 3, "classes")
    assert isinstance(own, ShownByObjects)
    assert own.objects.labels.tolist() == [0]


def test_classes_come_from_the_part_of_the_objects_where_it_says_them(root: Path) -> None:
    both = Part(source=COCO(), root="outlines", kinds=["boxes", "masks", "classes"])
    source = Join(parts=parts(outlines=both))
    index = index_of(source, root)
    assert isinstance(source.read(root, index, 0, "classes"), ShownByObjects)
    assert not len(source.read(root, index, 0, "classes").objects)


def test_each_label_knows_the_classes_of_its_own_part(root: Path) -> None:
    fewer = Part(source=COCO(), root="outlines", kinds=["boxes", "masks"], names=["cat", "dog", "bird"])
    source = Join(parts=parts(outlines=fewer))
    index = index_of(source, root)
    assert source.annotated(index, 1, "boxes").tolist() == [True, True, True, False, False]  # type: ignore[union-attr]
    assert source.annotated(index, 1, "semantic").tolist() == [False, False, False, True, True]  # type: ignore[union-attr]
    assert source.class_names_of(root, "semantic") == ["road", "sky"]


def test_the_first_part_says_in_which_split_a_picture_is(root: Path) -> None:
    masks = root / "maps/masks"
    for folder in ("images", "masks"):
        (root / "maps" / folder / "val").mkdir()
        for letter in "de":
            shutil.move(root / f"maps/{folder}/train/{letter}.png", root / f"maps/{folder}/val/{letter}.png")
    assert sorted(path.stem for path in (masks / "val").iterdir()) == ["d", "e"]
    source = Join(parts=parts())
    assert source.splits(root) == ["train", "val"]
    assert source.split(root, "train") == list("abcd")
    assert source.split(root, "val") == ["e"]  # the boxes of d are for training
    shutil.rmtree(root / "maps/images/val")
    shutil.rmtree(root / "maps/masks/val")
    with pytest.raises(DataError, match="none of boxes, outlines, maps has a split 'val'; found train"):
        source.split(root, "val")


def test_what_is_shared_out_keeps_groups_together(root: Path) -> None:
    for folder in ("images", "masks"):
        for path in (root / "maps" / folder / "train").iterdir():
            path.rename(root / "maps" / folder / path.name)
        (root / "maps" / folder / "train").rmdir()
    own = Part(source=MaskFiles(), root="maps", names=["street", "sky"], classes={"street": "road"})
    source = Join(parts={"maps": own, **{name: part for name, part in parts().items() if name != "maps"}})
    made = own.source.unlisted(root / "maps")
    assert sorted(name for split in ("train", "val", "test") for name in made[split]) == [
        f"images/{k}.png" for k in "bcde"
    ]
    found = source.unlisted(root)
    assert {split: sorted(names) for split, names in found.items()} == {
        split: sorted(Path(name).stem for name in names) for split, names in made.items()
    }
    later = Join(parts=parts(maps=own))  # the boxes come first, and have a list
    assert {name for names in later.unlisted(root).values() for name in names} == {"e"}


def test_the_key_says_which_pictures_are_the_same(root: Path) -> None:
    for path in [*(root / "maps/images/train").iterdir(), *(root / "maps/masks/train").iterdir()]:
        path.rename(path.with_name(f"scan_{path.name}"))
    with pytest.raises(DataError, match=r"parts\.maps: none of its 4 pictures, such as 'scan_b', .* such as 'a'; data"):
        index_of(Join(parts=parts()), root)
    source = Join(parts=parts(), key="([a-z])$")
    assert index_of(source, root).ids.tolist() == list("abcde")
    with pytest.raises(DataError, match=r"dataset\.source\.key: found '_\(\.\)', which 'a' does not fit"):
        Join(parts=parts(), key="_(.)").split(root, "train")


def test_pictures_that_are_not_the_same_are_told(root: Path) -> None:
    Image.new("RGB", (41, 30)).save(root / "maps/images/train/b.png")
    Image.new("L", (41, 30)).save(root / "maps/masks/train/b.png")
    index = index_of(Join(parts=parts()), root)
    assert index.ids[index.faulty].tolist() == ["b"]
    assert "40 x 30 pixels in" in str(index.faults[0])
    assert "41 x 30 pixels in" in str(index.faults[0])
    (root / "maps/images/train/more").mkdir()
    shutil.copy(root / "maps/images/train/c.png", root / "maps/images/train/more/c.png")
    with pytest.raises(DataError, match=r"parts\.maps: 'images/train/c.png' and '.*more/c.png' have the same key 'c'"):
        index_of(Join(parts=parts()), root)


def test_what_a_join_cannot_be(root: Path) -> None:
    with pytest.raises(ConfigError, match=r"source\.key: found '\(', which is no regular expression"):
        Join(parts=parts(), key="(")
    with pytest.raises(ConfigError, match=r"source\.key: found 'a'; must have a group"):
        Join(parts=parts(), key="a")
    with pytest.raises(ConfigError, match=r"parts\.boxes\.weight: found it in a join"):
        Join(parts=parts(boxes=Part(source=COCO(), root="boxes", weight=2.0)))


def test_the_fingerprint_knows_the_labels_of_all_parts(root: Path) -> None:
    found = []
    for outline in ([4.0, 4.0, 12.0, 4.0, 12.0, 12.0], [4.0, 4.0, 12.0, 4.0, 12.0, 11.0]):
        things = document(["a.jpg", "b.jpg", "c.jpg"], [thing(2, 7, outline=[outline]), thing(3, 3)])
        written(root / "outlines/annotations/instances_train.json", things, None)
        index = index_of(Join(parts=parts()), root)
        found.append([index.fingerprint(index.rows([letter])) for letter in "abcd"])
    assert [one == other for one, other in zip(*found, strict=True)] == [True, False, True, True]


def test_a_join_is_a_part_of_a_mixture(root: Path) -> None:
    whole = Mixture(parts={"mine": Part(source=Join(parts=parts()), root=".")})
    index = whole.read_index(root, CLASSES)
    assert index.ids.tolist() == [f"mine/{letter}" for letter in "abcde"]
    assert whole.read(root, index, 2, "semantic")[0, 0] == 4


YAML = """
defaults: [join, _self_]
test_split: train
val_fraction: 0
source:
  parts:
    outlines: {_target_: vjo_train.data.sources.join.Part, root: outlines, kinds: [classes, boxes, masks],
               source: {_target_: vjo_train.data.sources.coco.source.COCO}}
    maps: {_target_: vjo_train.data.sources.join.Part, root: maps, names: [road, sky],
           source: {_target_: vjo_train.data.sources.mask_files.MaskFiles, images: "images/{split}",
                    masks: "masks/{split}/{stem}.png"}}
"""


@pytest.mark.slow
def test_one_network_learns_from_both(command: Callable[..., Answer], root: Path) -> None:
    Path("mine/dataset").mkdir(parents=True)
    Path("mine/dataset/zoo.yaml").write_text(YAML)
    words = ["-cd", "mine", "dataset=zoo", f"dataset.root={root}", "dataset.size=32", "dataset.batch_size=4"]
    words += ["heads=[classification,detection,semantic]", *BACKBONE, "neck.channels=16", "heads.detection.depth=1"]
    words += ["heads.semantic.width=16", "trainer.max_epochs=1", "trainer.progress=false", "hydra.run.dir=run"]
    assert command("vjo-train", *words, "dataset.workers=0")[0] == 0
    results = json.loads(Path("run/results.json").read_text())
    assert results["counts"]["train"] == {"images": 5, "classification": 3, "detection": 3, "semantic": 4}
    assert set(results["per_class"]["test/semantic/iou"]) == {"road", "sky"}
    assert not results["parts"]
    status, out, _ = command("vjo-data", "summary", "-cd", "mine", "dataset=zoo", f"dataset.root={root}")
    assert status == 0
    assert np.char.find(out, "maps: 2 of its 4 pictures are in other parts too") >= 0
