"""Cityscapes: class maps, and objects from the maps of instances."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Answer
from tests.tiny import BACKBONE
from vjo_train.data.index import Index
from vjo_train.data.labels.masks import Masks
from vjo_train.data.placement import Unmoved
from vjo_train.data.sources.cityscapes import CATEGORIES, LABEL_IDS, WITH_INSTANCES, Cityscapes
from vjo_train.data.sources.opened import load_index
from vjo_train.errors import DataError

CAR, PERSON, BICYCLE, ROAD = 26, 24, 33, 7
STREET = np.full((8, 10), ROAD)
STREET[0] = 3  # out of the region of interest
STREET[1:4, 1:5] = 1000 * CAR + 1
STREET[2, 2] = 1000 * CAR
STREET[5:8, 6:10] = PERSON  # a crowd
STREET[7, 0] = 1000 * BICYCLE + 17


def scene(root: Path, name: str, instances: Any, split: str = "train") -> None:
    """A picture with both maps; `instances` None: with neither."""
    shape = (8, 10) if instances is None else instances.shape
    city = name.split("_")[0]
    folder = root / "leftImg8bit" / split / city
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((*shape, 3), np.uint8)).save(folder / f"{name}_leftImg8bit.png")
    if instances is not None:
        folder = root / "gtFine" / split / city
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(instances.astype(np.uint16)).save(folder / f"{name}_gtFine_instanceIds.png")
        labels = np.where(instances < 1000, instances, instances // 1000)
        Image.fromarray(labels.astype(np.uint8)).save(folder / f"{name}_gtFine_labelIds.png")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "set"


def read(root: Path, classes: list[str] | None = None) -> tuple[Cityscapes, Index]:
    source = Cityscapes()
    return source, load_index(source, source.root(root), classes or source.class_names(root), root.parent / "cache")


def test_coarse_maps_are_read_when_asked_for(root: Path) -> None:
    scene(root, "aachen_0_1", STREET)
    fine = read(root)[1]
    for file in sorted((root / "gtFine").rglob("*.png")):
        coarse = Path(str(file).replace("gtFine", "gtCoarse"))
        coarse.parent.mkdir(parents=True, exist_ok=True)
        file.rename(coarse)
    with pytest.raises(
        DataError, match=r"none of its 1 pictures has a map: looked for gtFine/train/aachen/aachen_0_1_"
    ):
        read(root)
    source = Cityscapes(annotations="gtCoarse")
    index = load_index(source, root, source.class_names(root), root.parent / "cache")
    assert index.boxes.tolist() == fine.boxes.tolist()
    assert index.labelled["semantic"].all()


def test_archives_that_were_unpacked_apart_are_told(root: Path) -> None:
    scene(root, "aachen_0_1", STREET)
    (root / "leftImg8bit_trainvaltest").mkdir()
    (root / "leftImg8bit").rename(root / "leftImg8bit_trainvaltest/leftImg8bit")
    with pytest.raises(DataError, match=r"holds no leftImg8bit/; move leftImg8bit_trainvaltest/leftImg8bit"):
        Cityscapes().root(root)


def test_the_class_map_has_the_nineteen_classes(root: Path) -> None:
    scene(root, "aachen_0_1", STREET)
    source, index = read(root)
    names = index.classes.tolist()
    assert (len(names), names[0], names[13], names[18]) == (19, "road", "car", "bicycle")
    assert source.class_names_of(root, "semantic") == names == list(LABEL_IDS)
    assert source.class_names_of(root, "boxes") == list(WITH_INSTANCES)
    wanted = np.ones_like(STREET)
    wanted[0], wanted[1:4, 1:5], wanted[5:8, 6:10], wanted[7, 0] = 255, 14, 12, 19
    np.testing.assert_array_equal(source.read(root, index, 0, "semantic"), wanted)
    assert source.split(root, "train") == ["leftImg8bit/train/aachen/aachen_0_1_leftImg8bit.png"]
    source, index = read(root, ["car", "road"])
    assert np.unique(source.read(root, index, 0, "semantic")).tolist() == [1, 2, 255]


def test_objects_are_those_of_the_map_of_instances(root: Path) -> None:
    scene(root, "aachen_0_1", STREET)
    source, index = read(root)
    known = source.read(root, index, 0, "boxes")
    assert [str(index.classes[label]) for label in known.labels] == ["person", "car", "car", "bicycle"]
    assert known.difficult.tolist() == [True, False, False, False]
    np.testing.assert_array_equal(known.boxes, [[6, 5, 10, 8], [2, 2, 3, 3], [1, 1, 5, 4], [0, 7, 1, 8]])
    masks = Masks().place(source.read(root, index, 0, "masks"), Unmoved((8, 10), 4)).numpy()
    values = [1000 * CAR, 1000 * CAR + 1, 1000 * BICYCLE + 17]
    np.testing.assert_array_equal(masks, [np.zeros((8, 10)), *(value == STREET for value in values)])
    shown = source.kind("classes").place(source.read(root, index, 0, "classes"), Unmoved((8, 10), 4))
    found = {str(name): int(value) for name, value in zip(index.classes, shown, strict=True)}
    assert (found["car"], found["bicycle"], found["bus"]) == (1, 1, -1)
    assert (found["person"], found["road"]) == (0, 0), "only as a crowd, and not an object: unknown"


def test_classes_choose_objects(root: Path) -> None:
    scene(root, "aachen_0_1", STREET)
    scene(root, "bonn_0_1", np.full((8, 10), ROAD))
    source, index = read(root, ["road", "bicycle"])
    assert index.objects(0).labels.tolist() == [1]
    assert (source.read(root, index, 0, "masks").numpy() == 1).sum() == 1
    assert index.labelled["boxes"].tolist() == [True, True], "nothing there is known too"
    with pytest.raises(DataError, match=r"dataset.classes: found 'cat'; allowed are road, sidewalk"):
        read(root, ["cat"])


def test_pictures_without_labels_are_not_labelled(root: Path) -> None:
    scene(root, "aachen_0_1", STREET)
    scene(root, "bonn_0_1", None)
    scene(root, "berlin_0_1", np.full((8, 10), 3), "test")  # as the test split is published
    _, index = read(root)
    names = [Path(name).name.split("_")[0] for name in index.ids]
    for kind in ("semantic", "boxes", "masks", "classes"):
        known = dict(zip(names, index.labelled[kind].tolist(), strict=True))
        assert known == {"aachen": True, "bonn": False, "berlin": False}


def test_a_map_alone_and_a_broken_one(root: Path) -> None:
    for city in ("aachen", "bonn", "cologne"):
        scene(root, f"{city}_0_1", STREET)
    folder = root / "gtFine/train"
    (folder / "aachen/aachen_0_1_gtFine_instanceIds.png").unlink()
    (folder / "bonn/bonn_0_1_gtFine_instanceIds.png").write_bytes(b"\x89PNG")
    Image.new("I;16", (4, 4)).save(folder / "cologne/cologne_0_1_gtFine_instanceIds.png")
    _, index = read(root)
    assert index.labelled["semantic"][0]
    assert not index.labelled["masks"][0]
    assert index.faulty.tolist() == [1, 2]
    assert "bonn_0_1_gtFine_instanceIds.png: damaged" in str(index.faults[0])
    assert "found a mask of 4 x 4 pixels; the image has 10 x 8" in str(index.faults[1])


def test_a_changed_map_is_read_again(root: Path) -> None:
    scene(root, "aachen_0_1", STREET)
    _, index = read(root)
    assert len(index.labels) == 4
    labels = (root / "gtFine/train/aachen/aachen_0_1_gtFine_labelIds.png").read_bytes()
    scene(root, "aachen_0_1", np.where(STREET == 1000 * BICYCLE + 17, ROAD, STREET))
    (root / "gtFine/train/aachen/aachen_0_1_gtFine_labelIds.png").write_bytes(labels)
    _, index = read(root)
    assert len(index.labels) == 3


@pytest.mark.slow
def test_all_tasks_train_and_are_tested(command: Callable[..., Answer]) -> None:
    street = STREET.repeat(4, 0).repeat(4, 1)
    for number in range(8):
        scene(Path("set"), f"ulm_0_{number}", street, "train" if number < 5 else "val")
    words = [
        "dataset=cityscapes",
        "dataset.root=set",
        "dataset.size=[32,64]",
        "dataset.batch_size=4",
        "dataset.workers=0",
    ]
    words += [
        *BACKBONE,
        "neck.channels=16",
        "trainer.max_epochs=1",
        "trainer.progress=false",
        "hydra.run.dir=run",
    ]
    words += ["dataset.val_fraction=0.2", "dataset.cache=ram", "heads.semantic.background=false", "insight=[]"]
    status, _, err = command("vjo-train", "heads=[classification,detection,semantic,instance]", *words)
    assert status == 0, err
    results = json.loads(Path("run/results.json").read_text())
    assert set(results["counts"]["test"].values()) == {3}
    assert set(results["per_class"]["test/instance/ap_r50"]) == set(WITH_INSTANCES)
    assert set(results["per_class"]["test/semantic/iou"]) == set(LABEL_IDS)


def test_disparity_is_inverse_depth(root: Path) -> None:
    scene(root, "aachen_0_1", STREET)
    scene(root, "bonn_0_1", STREET)
    values = np.full((8, 10), 257, np.uint16)
    values[0], values[1], values[2] = 0, 1, 1 + 256 * 40
    folder = root / "disparity/train/aachen"
    folder.mkdir(parents=True)
    Image.fromarray(values).save(folder / "aachen_0_1_disparity.png")
    source, index = read(root)
    assert index.labelled["depth"].tolist() == [True, False]
    depth = source.read(root, index, 0, "depth")
    assert depth[:2].isnan().all(), "unknown, and infinitely far"
    assert depth[2:, 0].tolist() == [40.0, *[1.0] * 5]
    assert source.kind("depth").inverse


def test_the_nineteen_classes_in_their_seven_groups(root: Path) -> None:
    scene(root, "aachen_0_1", STREET)
    source = Cityscapes(categories=True)
    names = source.class_names(root)
    index = load_index(source, source.root(root), names, root.parent / "cache")
    assert source.class_names_of(root, "semantic") == list(CATEGORIES) == names[:7]
    assert source.class_names_of(root, "boxes") == list(WITH_INSTANCES) == names[7:]
    wanted = np.full_like(STREET, 1)
    wanted[0], wanted[1:4, 1:5], wanted[5:8, 6:10], wanted[7, 0] = 255, 7, 6, 7
    np.testing.assert_array_equal(source.read(root, index, 0, "semantic"), wanted)
    assert [str(index.classes[k]) for k in index.objects(0).labels] == ["person", "car", "car", "bicycle"]
    assert sorted(name for members in CATEGORIES.values() for name in members) == sorted(LABEL_IDS)
