from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests import tiny
from tests.tiny import BACKBONE
from vjo_train.heads.base import Head
from vjo_train.heads.label_space import LabelSpace
from vjo_train.heads.pixel_losses import shifted
from vjo_train.heads.semantic import SemanticFPN
from vjo_train.types import Boxes, Detections, Target

KNOWN = ("cat", "dog", "car", "bus")
OWN = ("bus", "car")
BOXES = Boxes(torch.arange(16.0).view(4, 4), torch.tensor([3, 0, 2, 3]), torch.tensor([False, False, True, False]))
TARGET = Target(
    (2, 3),
    {
        "classes": torch.tensor([1, -1, 0, 1], dtype=torch.int8),
        "boxes": BOXES,
        "semantic": torch.tensor([[0, 1, 2], [3, 4, 255]], dtype=torch.uint8),
        "masks": torch.arange(24).view(4, 2, 3) % 5 == 0,
    },
)


@pytest.fixture(scope="module")
def heads() -> dict[str, Head]:
    """Two classes of the four that the data set has."""
    channels = {"c5": 8, **{f"p{k}": 8 for k in range(3, 8)}}
    made = tiny.heads(("classification", "detection", "semantic", "instance"), channels)
    for head in made.values():
        head.space = LabelSpace(OWN, KNOWN)
    return made


def test_a_head_sees_its_own_classes_in_its_own_order(heads: dict[str, Head]) -> None:
    (seen,) = heads["classification"].view([TARGET])
    assert seen["classes"].tolist() == [1, 0]
    (seen,) = heads["instance"].view([TARGET])
    assert seen["boxes"].labels.tolist() == [0, 1, 0]
    assert torch.equal(seen["boxes"].xyxy, BOXES.xyxy[[0, 2, 3]])
    assert seen["boxes"].difficult.tolist() == [False, True, False]
    assert torch.equal(seen["masks"], TARGET["masks"][[0, 2, 3]])
    (seen,) = heads["semantic"].view([TARGET])
    assert seen["semantic"].tolist() == [[0, 0, 0], [2, 1, 255]]
    assert TARGET["boxes"] is BOXES, "the target is left as it is"
    assert len(BOXES) == 4
    unlabelled = Target((2, 3))
    assert [head.view([unlabelled])[0].labelled for head in heads.values()] == [frozenset()] * 4


def test_all_classes_in_their_order_change_nothing() -> None:
    head = tiny.heads(("classification",), {"c5": 8})["classification"]
    for head.space in (LabelSpace(KNOWN, KNOWN), None):
        assert head.view([TARGET])[0] is TARGET
        assert head.published(BOXES.labels) is BOXES.labels


def test_predictions_come_back_in_the_classes_of_the_data_set(heads: dict[str, Head]) -> None:
    found = Detections(torch.zeros(3, 4), torch.ones(3), torch.tensor([1, 0, 0]))
    assert heads["detection"].published(found).labels.tolist() == [2, 3, 3]
    scores = heads["classification"].published(torch.tensor([0.25, 0.5]))
    assert scores[2:].tolist() == [0.5, 0.25]
    assert scores[:2].isnan().all()
    semantic = heads["semantic"]
    assert semantic.published(torch.tensor([[0, 1, 2]], dtype=torch.uint8)).tolist() == [[0, 4, 3]]
    truth = TARGET["semantic"]
    back = semantic.published(semantic.view([TARGET])[0]["semantic"])
    kept = (truth == 4) | (truth == 3) | (truth == 255)
    assert torch.equal(back[kept], truth[kept])
    assert (back[~kept] == 0).all()


def test_classes_in_another_order_train_the_same_network() -> None:
    """A head whose classes are permuted has the loss of one whose data are."""
    module = tiny.module(("classification", "detection", "semantic"))
    batch = tiny.batch(tasks=module.tasks, labelled=[frozenset({"classes", "boxes", "semantic"})] * 4)
    order = torch.tensor([1, 2, 0])  # a, b, c of the data set are numbers 1, 2, 0 of a head with c, a, b
    outputs = module(batch.images)
    for task in module.tasks:
        head = module.head(task)
        by_hand = [_permuted(target, order) for target in batch.targets]
        head.space = LabelSpace(("c", "a", "b"), ("a", "b", "c"))
        seen = head.loss(outputs[task], head.view(batch.targets))
        assert torch.equal(seen, head.loss(outputs[task], by_hand))
        assert not torch.equal(seen, head.loss(outputs[task], batch.targets))


def _permuted(target: Target, order: Tensor) -> Target:
    boxes, semantic = target["boxes"], target["semantic"].long()
    classes = torch.empty_like(target["classes"])
    classes[order] = target["classes"]
    indices = torch.cat([torch.tensor([0]), order + 1])[semantic].to(torch.uint8)
    moved = Boxes(boxes.xyxy, order[boxes.labels], boxes.difficult)
    return Target(target.size, {"classes": classes, "boxes": moved, "semantic": indices})


def test_without_background_pixels_of_no_class_do_not_count() -> None:
    truth = torch.tensor([[0, 1, 3, 255]], dtype=torch.uint8)
    assert shifted(truth).tolist() == [[255, 0, 2, 255]]
    channels = {"p3": 8}
    head = SemanticFPN(channels=channels, num_classes=3, levels=["p3"], width=8, background=False)
    assert head.logits.out_channels == 3
    torch.manual_seed(0)
    outputs = torch.randn(1, 3, 2, 2)
    target = Target((16, 16), {"semantic": torch.zeros(16, 16, dtype=torch.uint8)})
    assert head.loss(outputs, [target]).item() == 0
    target["semantic"][:, :8] = 2
    full = torch.nn.functional.interpolate(outputs, scale_factor=8.0, mode="bilinear", align_corners=False)
    wanted = -full.log_softmax(1)[0, 1, :, :8].mean()
    torch.testing.assert_close(head.loss(outputs, [target])[0], wanted)
    metrics = head.metrics()
    metrics.update([torch.full((16, 16), 2, dtype=torch.uint8)], [target])
    figures = metrics.compute()
    assert (figures["miou"], figures["pixel_accuracy"]) == (1, 1)
    assert figures["iou_background"].isnan()


@pytest.mark.slow
def test_two_detectors_of_different_classes_in_one_network(command: Callable[..., tuple[int, str, str]]) -> None:
    words = ["heads=[semantic]", "+heads@heads.round=detection", "+heads@heads.edgy=detection"]
    words += ["heads.round.classes=[ring,circle]", "heads.edgy.classes=[square,triangle,star,cross]"]
    words += ["heads.semantic.background=false", "weighting=pcgrad", *BACKBONE, "neck.channels=16"]
    words += ["heads.round.depth=1", "heads.edgy.depth=1", "dataset.generate.train=8", "dataset.generate.val=4"]
    words += ["dataset.generate.test=4", "dataset.generate.image_size=64", "dataset.size=[32,64]"]
    words += [
        "dataset.batch_size=4",
        "dataset.workers=0",
        "trainer.max_epochs=1",
        "trainer.progress=false",
        "insight=[]",
    ]
    assert command("vjo-train", *words, "dataset.root=shapes", "hydra.run.dir=run")[0] == 0
    results = json.loads(Path("run/results.json").read_text())
    assert set(results["per_class"]["test/round/ap_area"]) == {"ring", "circle"}
    assert set(results["per_class"]["test/edgy/ap_area"]) == {"square", "triangle", "star", "cross"}
    assert results["metrics"]["test/semantic/iou_background"] is None
    status, _, _ = command(
        "vjo-predict", "run=run", "source='shapes/JPEGImages/2*.jpg'", "output=found", "heads.edgy.score_threshold=0"
    )
    assert status == 0
    names = [category["name"] for category in json.loads(Path("found/images.json").read_text())["categories"]]
    found = {names[row["category_id"] - 1] for row in json.loads(Path("found/edgy.json").read_text())}
    assert found
    assert found <= {"square", "triangle", "star", "cross"}
