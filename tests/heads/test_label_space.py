from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests import tiny
from vjo_train.heads.label_space import LabelSpace
from vjo_train.heads.pixel_losses import shifted
from vjo_train.heads.semantic import SemanticFPN
from vjo_train.types import Detections, Target

KNOWN = ("cat", "dog", "car", "bus")
LABELS = torch.tensor([3, 0, 2, 3])
TARGET = Target(
    size=(2, 3),
    labelled=frozenset({"classes", "boxes", "semantic", "masks"}),
    classes=torch.tensor([1, -1, 0, 1], dtype=torch.int8),
    boxes=torch.arange(16.0).view(4, 4),
    labels=LABELS,
    difficult=torch.tensor([False, False, True, False]),
    semantic=torch.tensor([[0, 1, 2], [3, 4, 255]], dtype=torch.uint8),
    masks=torch.arange(24).view(4, 2, 3) % 5 == 0,
)


def test_a_head_sees_its_own_classes_in_its_own_order() -> None:
    seen = LabelSpace(["bus", "car"], KNOWN).view(TARGET)
    assert seen.classes.tolist() == [1, 0]
    assert seen.labels.tolist() == [0, 1, 0]
    assert torch.equal(seen.boxes, TARGET.boxes[[0, 2, 3]])
    assert seen.difficult.tolist() == [False, True, False]
    assert TARGET.masks is not None
    assert torch.equal(seen.masks, TARGET.masks[[0, 2, 3]])
    assert seen.semantic.tolist() == [[0, 0, 0], [2, 1, 255]]
    assert TARGET.labels is LABELS, "the target is left as it is"


def test_all_classes_in_their_order_change_nothing() -> None:
    space = LabelSpace(KNOWN, KNOWN)
    assert space.view(TARGET) is TARGET
    assert space.published(LABELS) is LABELS


def test_predictions_come_back_in_the_classes_of_the_data_set() -> None:
    space = LabelSpace(["bus", "car"], KNOWN)
    found = Detections(torch.zeros(3, 4), torch.ones(3), torch.tensor([1, 0, 0]))
    assert space.published(found).labels.tolist() == [2, 3, 3]
    scores = space.published(torch.tensor([0.25, 0.5]))
    assert scores[2:].tolist() == [0.5, 0.25]
    assert scores[:2].isnan().all()
    assert space.published(torch.tensor([[0, 1, 2]], dtype=torch.uint8)).tolist() == [[0, 4, 3]]
    seen = space.view(TARGET).semantic
    back = space.published(seen)
    kept = (TARGET.semantic == 4) | (TARGET.semantic == 3) | (TARGET.semantic == 255)
    assert torch.equal(back[kept], TARGET.semantic[kept])
    assert (back[~kept] == 0).all()


def test_classes_in_another_order_train_the_same_network(tmp_path: Path) -> None:
    """A head whose classes are permuted has the loss of one whose data are."""
    module = tiny.module(("classification", "detection", "semantic"))
    batch = tiny.batch(tasks=module.tasks, labelled=[frozenset({"classes", "boxes", "semantic"})] * 4)
    known, own = ("a", "b", "c"), ("c", "a", "b")
    space = LabelSpace(own, known)
    outputs = module(batch.images)
    for task in module.tasks:
        head = module.head(task)
        by_hand = [space.view(target) for target in batch.targets]
        head.space = space
        assert torch.equal(head.loss(outputs[task], head.view(batch.targets)), head.loss(outputs[task], by_hand))
        assert not torch.equal(head.loss(outputs[task], batch.targets), head.loss(outputs[task], by_hand))


def test_without_background_pixels_of_no_class_do_not_count() -> None:
    truth = torch.tensor([[0, 1, 3, 255]], dtype=torch.uint8)
    assert shifted(truth).tolist() == [[255, 0, 2, 255]]
    channels = {"p3": 8}
    head = SemanticFPN(channels=channels, num_classes=3, levels=["p3"], width=8, background=False)
    assert head.logits.out_channels == 3
    torch.manual_seed(0)
    outputs = torch.randn(1, 3, 2, 2)
    target = Target.unlabelled((16, 16), 3)
    target.labelled, target.semantic = frozenset({"semantic"}), torch.zeros(16, 16, dtype=torch.uint8)
    assert head.loss(outputs, [target]).item() == 0
    target.semantic[:, :8] = 2
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
    words += ["heads.semantic.background=false", "weighting=pcgrad", "backbone=resnet10", "neck.channels=32"]
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
