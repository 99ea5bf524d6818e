"""What holds for every detection head."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.heads.detection import cases
from vjo_train.errors import ConfigError
from vjo_train.heads.detection.faster_rcnn import FasterRCNN
from vjo_train.heads.detection.fcos import FCOS

KINDS = ("fcos", "retinanet", "faster_rcnn")
pytestmark = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def test_loss_of_a_batch_is_that_of_its_images_one_by_one(kind: str) -> None:
    head, maps, targets = cases.head(kind), cases.features(5), cases.mixed()
    together = head.loss(head(maps), targets)
    alone = [head.loss(head(cases.part(maps, i)), [targets[i]])[0] for i in range(5)]
    assert together.shape == (5,)
    assert together.dtype == torch.float32
    torch.testing.assert_close(together, torch.stack(alone), rtol=1e-4, atol=1e-6)


def test_detections_of_a_batch_are_those_of_its_images_one_by_one(kind: str) -> None:
    head, maps = cases.head(kind, score_threshold=0.0, detections_per_image=10), cases.features(3)
    targets = [cases.target(size=(96, 60)), cases.target(), cases.target(size=(50, 96))]
    together = head.decode(head(maps), cases.batch(targets, [1.0, 1.0, 1.0], targets))
    for i, found in enumerate(together):
        one = head.decode(head(cases.part(maps, i)), cases.batch([targets[i]], [1.0], [targets[i]]))[0]
        torch.testing.assert_close(found.boxes, one.boxes, rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(found.scores, one.scores, rtol=1e-4, atol=1e-6)


def test_images_without_labels_give_zero_and_no_gradient(kind: str) -> None:
    head, maps, targets = cases.head(kind), cases.features(2), cases.mixed()
    maps = {level: feature.requires_grad_() for level, feature in maps.items()}
    losses = head.loss(head(maps), [targets[0], targets[4]])
    losses.sum().backward()
    assert losses[0] > 0
    assert losses[1] == 0
    assert all(feature.grad is not None and bool((feature.grad[1] == 0).all()) for feature in maps.values())
    none = head.loss(head(cases.features(2)), [targets[4], targets[4]])
    assert none.tolist() == [0, 0]


def test_images_without_objects_train_background(kind: str) -> None:
    head = cases.head(kind)
    losses = head.loss(head(cases.features(1)), [cases.target()])
    losses.sum().backward()
    assert losses.item() > 0
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in head.parameters())


def test_difficult_objects_are_neither_found_nor_background(kind: str) -> None:
    """A difficult object changes the loss of an empty image by what its own places would have cost as background."""
    head, maps = cases.head(kind), cases.features(1)
    box = [20.0, 20.0, 60.0, 70.0]
    empty = head.loss(head(maps), [cases.target()]).item()
    difficult = head.loss(head(maps), [cases.target([box], [1], [True])]).item()
    normal = head.loss(head(maps), [cases.target([box], [1])]).item()
    assert difficult < normal
    assert difficult < empty or kind == "faster_rcnn"  # whose loss is a mean over what is sampled
    other_class = head.loss(head(maps), [cases.target([box], [2], [True])]).item()
    assert difficult == other_class


@pytest.mark.parametrize("extreme", [-1e4, 1e4])
def test_extreme_outputs_keep_loss_and_gradient_finite(kind: str, extreme: float) -> None:
    head, maps = cases.head(kind), cases.features(2)
    with torch.no_grad():
        for layer in head.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
                layer.bias.fill_(extreme)
    losses = head.loss(head(maps), cases.mixed()[:2])
    losses.sum().backward()
    assert bool(losses.isfinite().all())
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in head.parameters())


def test_bfloat16_comes_close_to_float32(kind: str) -> None:
    head, maps, targets = cases.head(kind), cases.features(2), cases.mixed()[:2]
    exact = head.loss(head(maps), targets)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = head.loss(head(maps), targets)
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, exact, rtol=0.05, atol=0.02)


def test_every_parameter_learns(kind: str) -> None:
    head = cases.head(kind)
    head.loss(head(cases.features(5)), cases.mixed()).sum().backward()
    assert [name for name, p in head.named_parameters() if p.grad is None] == []


def test_memorises_two_images(kind: str) -> None:
    """The whole way round: losses teach the head boxes that decoding brings back, and the metrics know them."""
    head = cases.head(kind, **({"rois_per_image": 64, "anchors_per_image": 64} if kind == "faster_rcnn" else {}))
    maps = cases.features(2)
    targets = [cases.target([[4, 6, 30, 40], [40, 30, 90, 84]], [0, 1]), cases.target([[20, 10, 70, 66]], [2])]
    originals = [
        cases.target(box, labels, size=(192, 192))
        for box, labels in (([[8, 12, 60, 80], [80, 60, 180, 168]], [0, 1]), ([[40, 20, 140, 132]], [2]))
    ]
    optimizer = torch.optim.AdamW(head.parameters(), lr=5e-3)
    first = None
    for _ in range(100):
        loss = head.loss(head(maps), targets).mean()
        first = first or loss.item()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < first / 3
    collector = head.metrics()
    collector.update(head.decode(head(maps), cases.batch(targets, [0.5, 0.5], originals)), originals)
    values = collector.compute()
    assert values["map_voc07"] == pytest.approx(1, abs=1e-6)
    assert values["map_coco"] > 0.5


def test_wrong_levels_are_refused(kind: str) -> None:
    with pytest.raises(ConfigError, match=r"heads\.detection\.levels.*p9.*p3"):
        cases.head(kind, levels=["p3", "p9"])
    with pytest.raises(ConfigError, match=r"heads\.detection\.levels.*found none"):
        cases.head(kind, levels=[])
    with pytest.raises(ConfigError, match="different channels"):
        (FasterRCNN if kind == "faster_rcnn" else FCOS)(
            channels={"c3": 8, "p4": 16}, num_classes=2, levels=["c3", "p4"]
        )


def test_one_level_is_enough(kind: str) -> None:
    options = {"roi_levels": ["p4"]} if kind == "faster_rcnn" else {}
    head = cases.head(kind, levels=["p4"], **options)
    assert head.levels == ("p4",)
    assert bool(head.loss(head(cases.features(5)), cases.mixed()).isfinite().all())
