"""Several data sets in one: who is labelled for what, in whose words."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import Answer
from tests.data.conftest import Devkit
from tests.data.sources.written import SQUARE, document, thing, written
from tests.tiny import BACKBONE
from vjo_train.data.datamodule import DataModule
from vjo_train.data.sources.coco.source import COCO
from vjo_train.data.sources.mixture import Mixture, Part
from vjo_train.data.sources.opened import load_index
from vjo_train.data.sources.renaming import Renaming
from vjo_train.data.sources.voc.source import VOC
from vjo_train.data.transforms import Augment
from vjo_train.errors import ConfigError, DataError
from vjo_train.schedules.joint import Joint


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """`cars`: boxes of automobiles and bikes; `road`: masks of trees, and of bikes, which it calls cycles."""
    cars, road = Devkit(tmp_path / "cars"), Devkit(tmp_path / "road")
    for k in range(4):
        cars.image(f"c{k}", objects=[("automobile", (3, 3, 20, 20), 0), ("bike", (10, 10, 30, 25), 0)][: 1 + k % 2])
        road.image(f"r{k}", objects=[("tree", (3, 3, 20, 20), 0), ("cycle", (10, 10, 30, 25), 0)])
        mask = np.zeros((30, 40))
        mask[2:10, 2:20], mask[10:20, 9:20], mask[25:] = 2, 1, 255  # by the alphabet: cycle, tree
        road.mask("SegmentationClass", f"r{k}", mask)
    for kit, letter in ((cars, "c"), (road, "r")):
        kit.split("train", [f"{letter}{k}" for k in range(3)])
        kit.split("val" if letter == "c" else "validation", [f"{letter}3"])
        kit.split("test", [f"{letter}3"])
    return tmp_path


def mixture(**changed: Any) -> Mixture:
    road = {"classes": {"cycle": "bike"}, "splits": {"val": "validation"}, "kinds": ["semantic", "classes"], **changed}
    cars = Part(source=VOC(), root="cars", kinds=["boxes", "classes"], classes={"automobile": "car"})
    return Mixture(parts={"cars": cars, "road": Part(source=VOC(), root="road", **road)})


def test_a_split_that_a_part_is_said_to_have_is_looked_for(root: Path) -> None:
    source = mixture(splits={"val": "valid"})
    assert source.split(root, "test") == ["cars/c3", "road/r3"]
    with pytest.raises(DataError, match=r"parts\.road\.splits\.val: found valid; its splits are .*validation"):
        source.split(root, "val")


def test_images_keep_their_own_labels_in_common_words(root: Path, tmp_path: Path) -> None:
    source = mixture()
    assert source.class_names(root) == ["car", "bike", "tree"]
    assert source.class_names_of(root, "boxes") == ["car", "bike"]
    assert source.class_names_of(root, "semantic") == ["bike", "tree"]
    assert source.splits(root) == ["test", "train", "trainval", "val"]
    assert source.split(root, "val") == ["cars/c3", "road/r3"]
    data = DataModule(
        root=str(root), classes=source.class_names(root), split="train", val_split="val", val_fraction=0,
        test_split="test", size=[30, 40], batch_size=6, eval_batch_size=2, workers=0, labelled_per_batch=1,
        cache_dir=str(tmp_path / "cache"), augment=Augment(zoom_out=0, crop=0, flip=0, jitter=0), source=source,
    )  # fmt: skip
    needs = {"classification": {"classes"}, "detection": {"boxes"}, "semantic": {"semantic"}}
    data.set_tasks({task: frozenset(kinds) for task, kinds in needs.items()}, Joint(tasks=tuple(needs)))
    data.setup("fit")
    assert data.count(data.train_rows) == {"images": 6, "classification": 6, "detection": 3, "semantic": 3}
    (batch,) = data.test_dataloader()
    one, other = batch.originals
    assert one.labelled == {"classes", "boxes"}
    assert one["boxes"].labels.tolist() == [0, 1]
    assert one["classes"].tolist() == [1, 1, 0]  # nobody looked for trees
    assert other.labelled == {"classes", "semantic"}
    assert other["classes"].tolist() == [0, 1, 1]
    assert other["semantic"][3, 3] == 3  # tree
    assert other["semantic"][15, 15] == 2  # bike
    assert other["semantic"][29, 0] == 255


def test_the_cache_knows_the_index_again(root: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    found = [load_index(mixture(), root, ["car", "bike", "tree"], cache) for _ in range(2)]
    assert len(list(cache.glob("*.npz"))) == 1
    rows = np.arange(len(found[0]))
    assert found[0].fingerprint(rows) == found[1].fingerprint(rows)
    other = load_index(mixture(kinds=["semantic"]), root, ["car", "bike", "tree"], cache)
    assert other.fingerprint(rows) != found[0].fingerprint(rows)
    fewer = load_index(mixture(), root, ["tree", "car"], cache)  # bikes are not there
    objects = fewer.objects(int(fewer.rows(["cars/c1"])[0]))
    assert objects.labels.tolist() == [1]


def batches(source: Mixture, root: Path, tmp_path: Path, kinds: set[str]) -> list[Any]:
    data = DataModule(
        root=str(root), classes=source.class_names(root), split="train", val_split="val", val_fraction=0,
        test_split="test", size=[30, 40], batch_size=6, eval_batch_size=2, workers=0, labelled_per_batch=1,
        cache_dir=str(tmp_path / "cache"), augment=Augment(zoom_out=0, crop=0, flip=0, jitter=0), source=source,
    )  # fmt: skip
    data.set_tasks({"task": frozenset(kinds)}, Joint(tasks=("task",)))
    data.setup("fit")
    return [*data.test_dataloader(), next(iter(data.train_dataloader()))]


def test_what_a_part_did_not_look_for_is_unknown(root: Path, tmp_path: Path) -> None:
    source = mixture(kinds=["boxes", "semantic"])
    notes = load_index(source, root, source.class_names(root), tmp_path / "cache").notes[:, 1].tolist()
    assert "cars: boxes of tree are not annotated, so unknown there" in notes
    assert "road: boxes of car are not annotated, so unknown there" in notes
    for batch in batches(source, root, tmp_path, {"boxes"}):
        for name, target in zip(batch.ids, batch.targets, strict=True):
            known = [True, True, False] if name.startswith("cars") else [False, True, True]
            assert target.annotated["boxes"].tolist() == known  # car, bike, tree
    (test, _) = batches(source, root, tmp_path, {"semantic"})
    assert not test.originals[0].annotated
    alike = Mixture(parts={name: Part(source=VOC(), root="cars") for name in ("one", "two")})
    assert not any(target.annotated for target in batches(alike, root, tmp_path, {"boxes"})[0].originals)


def test_names_say_what_was_looked_for(root: Path, tmp_path: Path) -> None:
    plain = mixture(kinds=["boxes"])
    told = mixture(kinds=["boxes"], names=["cycle", "lamp", "tree"])
    assert told.class_names(root) == ["car", "bike", "lamp", "tree"]
    (test, _) = batches(told, root, tmp_path, {"boxes"})
    assert test.originals[1].annotated["boxes"].tolist() == [False, True, True, True]
    assert test.originals[1]["boxes"].labels.tolist() == [3, 1]
    prints = []
    for source in (plain, told):
        index = load_index(source, root, ["car", "bike", "lamp", "tree"], tmp_path / "cache")
        prints.append([index.fingerprint(index.rows([name])) for name in ("cars/c1", "road/r1")])
    assert prints[0][0] == prints[1][0]
    assert prints[0][1] != prints[1][1]  # whether there are lamps decides what is right


def test_a_mixture_in_a_mixture_keeps_what_is_unknown(root: Path, tmp_path: Path) -> None:
    inner = mixture(kinds=["boxes"])
    outer = Mixture(parts={"both": Part(source=inner, root=".", classes={"tree": "plant"})})
    index = load_index(outer, root, ["plant", "car", "bike"], tmp_path / "cache")
    found = {name: outer.annotated(index, row, "boxes") for row, name in enumerate(index.ids.tolist())}
    assert found["both/cars/c0"].tolist() == [False, True, True]
    assert found["both/road/r0"].tolist() == [True, False, True]


def test_weights_say_how_often_the_images_of_a_part_come(root: Path, tmp_path: Path) -> None:
    source = mixture()
    assert source.weights(load_index(source, root, ["car"], tmp_path / "cache")) is None
    cars = Part(source=VOC(), root="cars", kinds=["boxes"])
    source = Mixture(parts={"one": cars, "other": replace(cars, weight=3.0)})
    (_, batch) = batches(source, root, tmp_path, {"boxes"})
    assert Counter(name.partition("/")[0] for name in batch.ids)["other"] in (4, 5)  # of 6, 4.5 on the average


def test_parts_that_cannot_be(root: Path) -> None:
    with pytest.raises(ConfigError, match=r"parts\.road\.kinds: found depth; its layout gives classes, boxes"):
        mixture(kinds=["depth"])
    with pytest.raises(ConfigError, match=r"parts\.road\.kinds: found masks without boxes, of whose objects they are"):
        mixture(kinds=["masks"])
    with pytest.raises(DataError, match="none of cars, road has a split 'dev'; found test, train, trainval, val"):
        mixture().split(root, "dev")


@given(st.data())
def test_masks_follow_their_objects_when_some_go(data: st.DataObject) -> None:
    labels = np.array(data.draw(st.lists(st.integers(0, 2), min_size=1, max_size=6)))
    kept = data.draw(st.sets(st.sampled_from("abc")))
    renaming = Renaming("abc", sorted(kept))
    stack = torch.arange(len(labels) * 12).view(-1, 3, 4) % (len(labels) + 1) == 0
    number = torch.randint(0, len(labels) + 1, (3, 4), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    number[0, 0] = 255
    left = [k for k, label in enumerate(labels) if "abc"[label] in kept]
    assert torch.equal(renaming.masks(stack, labels), stack[left])
    moved = renaming.masks(number, labels)
    assert moved[0, 0] == 255
    for new, old in enumerate(left):
        assert torch.equal(moved == new + 1, number == old + 1)


def test_classes_that_become_one_are_there_if_one_is() -> None:
    renaming = Renaming(["vehicle", "vehicle", "person"], ["person", "vehicle", "tree"])
    assert renaming.flags(torch.tensor([-1, 1, -1], dtype=torch.int8)).tolist() == [-1, 1, 0]
    assert renaming.flags(torch.tensor([-1, 0, 1], dtype=torch.int8)).tolist() == [1, 0, 0]
    assert renaming.map(torch.tensor([[0, 1, 2, 3, 255]], dtype=torch.uint8)).tolist() == [[0, 2, 2, 1, 255]]


YAML = """
defaults: [mixture, _self_]
val_split: val
source:
  parts:
    cars: {_target_: vjo_train.data.sources.mixture.Part, root: cars, kinds: [boxes, classes],
           source: {_target_: vjo_train.data.sources.voc.source.VOC}, classes: {automobile: car}}
    road: {_target_: vjo_train.data.sources.mixture.Part, root: road, kinds: [semantic, classes],
           source: {_target_: vjo_train.data.sources.voc.source.VOC}, splits: {val: validation}}
"""


@pytest.mark.slow
def test_two_data_sets_train_two_heads(command: Callable[..., Answer], root: Path) -> None:
    Path("mine/dataset").mkdir(parents=True)
    Path("mine/dataset/street.yaml").write_text(YAML)
    words = ["-cd", "mine", "dataset=street", "dataset.size=32", "dataset.batch_size=4", "dataset.workers=0"]
    words += ["heads=[classification,detection,semantic]", *BACKBONE, "neck.channels=16", "heads.detection.depth=1"]
    words += ["heads.semantic.width=16", "trainer.max_epochs=1", "trainer.progress=false", "hydra.run.dir=run"]
    status, out, _ = command("vjo-train", *words)
    assert status == 0
    results = json.loads(Path("run/results.json").read_text())
    assert results["counts"]["train"] == {"images": 6, "classification": 6, "detection": 3, "semantic": 3}
    assert set(results["per_class"]["test/detection/ap_area"]) == {"car", "bike"}
    assert set(results["per_class"]["test/semantic/iou"]) == {"cycle", "tree"}
    parts, whole = results["parts"], results["metrics"]
    assert set(parts) == {"cars", "road"}
    assert parts["cars"]["test/detection/map_area"] == pytest.approx(whole["test/detection/map_area"], nan_ok=True)
    assert parts["road"]["test/semantic/miou"] == pytest.approx(whole["test/semantic/miou"])
    assert parts["cars"]["test/classification/images"] == parts["road"]["test/classification/images"] == 1
    assert "test/detection/map_area" not in parts["road"]
    assert "By data set, test" in out
    page = Path("run/report.html").read_text()
    assert ">cars</th>" in page
    status, _, err = command("vjo-train", *words, "+dataset.source.parts.road.clases={}")
    assert status == 2
    assert "did you mean 'classes'?" in err


def test_key_points_follow_the_objects_that_are_left(tmp_path: Path) -> None:
    things = [thing(1, 3, keypoints=[1, 2, 2]), thing(1, 7), thing(1, 3, keypoints=[5, 6, 1])]
    found = document(["a.jpg"], things)
    found["categories"][0]["keypoints"] = ["nose"]
    written(tmp_path / "zoo/annotations/instances_train.json", found, tmp_path / "zoo/train")
    source = Mixture(parts={"zoo": Part(source=COCO(), root="zoo")})
    for classes, wanted in ((["cat", "dog", "bird"], [1.5, 0, 5.5]), (["cat"], [1.5, 5.5]), (["dog"], [0])):
        index = source.read_index(tmp_path, classes)
        assert source.read(tmp_path, index, 0, "keypoints").points[:, 0, 0].tolist() == wanted
        assert len(index.objects(0)) == len(wanted)


def test_key_points_and_outlines_count_in_the_fingerprint(tmp_path: Path) -> None:
    prints = []
    for x, outline in ((1, SQUARE), (2, SQUARE), (2, [[5.0, 5.0, 12.0, 5.0, 12.0, 12.0]])):
        found = document(
            [f"{name}.jpg" for name in "abcdef"], [thing(1, 3, keypoints=[x, 2, 2], outline=outline), thing(2, 3)]
        )
        found["categories"][0]["keypoints"] = ["nose"]
        for name in ("zoo", "park"):
            written(tmp_path / f"{name}/annotations/instances_train.json", found, tmp_path / f"{name}/train")
            found = document(["a.jpg", "b.jpg"], [thing(1, 3)])
        source = Mixture(parts={name: Part(source=COCO(), root=name) for name in ("zoo", "park")})
        index = source.read_index(tmp_path, ["cat", "dog", "bird"])
        prints.append([index.fingerprint(index.rows([name])) for name in ("zoo/a", "zoo/b", "park/a")])
    assert len({first for first, _, _ in prints}) == 3
    assert len({tuple(rest) for _, *rest in prints}) == 1
