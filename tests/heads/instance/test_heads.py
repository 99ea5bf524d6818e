"""What holds for every instance head."""

from __future__ import annotations

import pytest
import torch

from tests.heads.detection import cases as detection
from tests.heads.instance import cases
from vjo_train.errors import ConfigError
from vjo_train.metrics.instance import mask_iou

pytestmark = pytest.mark.parametrize("kind", cases.KINDS)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def test_loss_of_a_batch_is_that_of_its_images_one_by_one(kind: str) -> None:
    head, maps, targets = cases.head(kind), detection.features(6), cases.mixed()
    together = head.loss(head(maps), targets)
    alone = [head.loss(head(detection.part(maps, i)), [targets[i]])[0] for i in range(6)]
    assert together.shape == (6,)
    assert together.dtype == torch.float32
    torch.testing.assert_close(together, torch.stack(alone), rtol=1e-4, atol=1e-6)


def test_detections_of_a_batch_are_those_of_its_images_one_by_one(kind: str) -> None:
    head, maps = cases.head(kind, score_threshold=0.0, detections_per_image=6), detection.features(2)
    targets = [cases.target(size=(96, 60)), cases.target(size=(50, 96))]
    originals = [cases.target(size=(192, 120)), cases.target(size=(50, 96))]
    scales = [0.5, 1.0]
    together = head.decode(head(maps), detection.batch(targets, scales, originals))
    for i, found in enumerate(together):
        one = head.decode(head(detection.part(maps, i)), detection.batch([targets[i]], [scales[i]], [originals[i]]))[0]
        assert len(found.scores) == 6
        assert found.masks is not None
        assert one.masks is not None
        assert found.masks.dtype == torch.bool
        assert found.masks.shape == (6, *originals[i].size)
        torch.testing.assert_close(found.boxes, one.boxes, rtol=1e-4, atol=1e-3)
        assert (found.masks != one.masks).float().mean() < 1e-3


def test_masks_stay_in_their_boxes(kind: str) -> None:
    head = cases.head(kind, score_threshold=0.0, detections_per_image=10)
    known = cases.target(size=(96, 70))
    (found,) = head.decode(head(detection.features(1)), detection.batch([known], [1.0], [known]))
    assert found.masks is not None
    assert bool(found.masks.any())
    for mask, (x1, y1, x2, y2) in zip(found.masks, found.boxes.tolist(), strict=True):
        y, x = mask.nonzero(as_tuple=True)
        assert bool(((x + 0.5 >= x1) & (x + 0.5 < x2) & (y + 0.5 >= y1) & (y + 0.5 < y2)).all())


def test_nothing_found_has_no_masks(kind: str) -> None:
    head, known = cases.head(kind, score_threshold=0.99), cases.target(size=(96, 70))
    (found,) = head.decode(head(detection.features(1)), detection.batch([known], [1.0], [known]))
    assert found.masks is not None
    assert found.masks.shape == (0, 96, 70)


def test_images_without_masks_give_zero_and_no_gradient(kind: str) -> None:
    head, targets = cases.head(kind), cases.mixed()
    maps = {level: feature.requires_grad_() for level, feature in detection.features(2).items()}
    losses = head.loss(head(maps), [targets[0], targets[4]])
    losses.sum().backward()
    assert losses[0] > 0
    assert losses[1] == 0
    assert all(feature.grad is not None and bool((feature.grad[1] == 0).all()) for feature in maps.values())
    none = head.loss(head(detection.features(2)), [targets[4], targets[4]])
    assert none.tolist() == [0, 0]
    none.sum().backward()
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in head.parameters())


def test_images_without_objects_train_background(kind: str) -> None:
    head = cases.head(kind)
    losses = head.loss(head(detection.features(1)), [cases.target()])
    losses.sum().backward()
    assert losses.item() > 0
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in head.parameters())


def test_masks_of_difficult_objects_are_not_looked_at(kind: str) -> None:
    head, maps = cases.head(kind), detection.features(1)
    one, other = (cases.target([[10, 10, 40, 40], [50, 50, 90, 90]], [1, 0], [True, False]) for _ in range(2))
    other["masks"][0] = False
    assert head.loss(head(maps), [one]).item() == head.loss(head(maps), [other]).item()


def test_the_masks_matter(kind: str) -> None:
    head, maps = cases.head(kind), detection.features(1)
    one, other = (cases.target([[50, 50, 90, 90]], [0]) for _ in range(2))
    other["masks"][:, 70:] = False
    assert head.loss(head(maps), [one]).item() != head.loss(head(maps), [other]).item()


def test_bfloat16_comes_close_to_float32(kind: str) -> None:
    head, maps, targets = cases.head(kind), detection.features(2), cases.mixed()[:2]
    exact = head.loss(head(maps), targets)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = head.loss(head(maps), targets)
        head.decode(head(maps), detection.batch(targets, [1.0, 1.0], targets))
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, exact, rtol=0.05, atol=0.02)


def test_every_parameter_learns(kind: str) -> None:
    head = cases.head(kind)
    head.loss(head(detection.features(6)), cases.mixed()).sum().backward()
    assert [name for name, p in head.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_memorises_two_images(kind: str) -> None:
    """The whole way round: losses teach the head masks that decoding brings back, and the metrics know them."""
    head = cases.head(kind, rois_per_image=32, anchors_per_image=64, hidden=64)
    maps = detection.features(2)
    targets = [cases.target([[4, 6, 30, 40], [40, 30, 90, 84]], [0, 1]), cases.target([[20, 10, 70, 66]], [2])]
    originals = [
        cases.target(box, labels, size=(192, 192))
        for box, labels in (([[8, 12, 60, 80], [80, 60, 180, 168]], [0, 1]), ([[40, 20, 140, 132]], [2]))
    ]
    optimizer = torch.optim.AdamW(head.parameters(), lr=5e-3)
    for _ in range(80):
        loss = head.loss(head(maps), targets).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found = head.decode(head(maps), detection.batch(targets, [0.5, 0.5], originals))
    collector = head.metrics()
    collector.update(found, originals)
    values = collector.compute()
    assert values["map_r50"] == pytest.approx(1, abs=1e-6)
    assert found[1].masks is not None
    assert mask_iou(found[1].masks[:1], originals[1]["masks"])[0, 0] > 0.7


def test_wrong_levels_are_refused(kind: str) -> None:
    with pytest.raises(ConfigError, match=r"heads\.instance\.levels.*p9.*p3"):
        cases.head(kind, levels=["p3", "p9"])
    with pytest.raises(ConfigError, match=r"heads\.instance\.roi_levels.*p2"):
        cases.head(kind, roi_levels=["p2", "p3"])


@pytest.mark.parametrize("odd", [float("nan"), float("inf")])
def test_a_network_that_has_diverged_gives_a_loss_that_says_so(kind: str, odd: float) -> None:
    """The training step stops at that, with the task and the images; what its boxes look up must not fail first."""
    head, maps, targets = cases.head(kind), detection.features(6), cases.mixed()
    with torch.no_grad():
        next(head.get_submodule("proposal_head").parameters()).fill_(odd)
    assert not head.loss(head(maps), targets).isfinite().all()
