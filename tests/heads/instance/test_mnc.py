"""The cascade: what its stages hand on, and its three losses."""

from __future__ import annotations

import pytest
import torch

from tests.heads.detection import cases as detection
from tests.heads.instance import cases
from vjo_train.heads.detection.boxes import encode
from vjo_train.heads.detection.objects import Objects
from vjo_train.heads.detection.regions import OFFSET_WEIGHTS, Regions
from vjo_train.heads.instance.mnc import MNC, move


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def mnc(stages: int) -> MNC:
    head = cases.head(f"mnc{stages}", split_losses=True)
    assert isinstance(head, MNC)
    return head


def names_with_gradient(head: MNC) -> set[str]:
    return {name.split(".")[0] for name, p in head.named_parameters() if p.grad is not None and bool(p.grad.any())}


@pytest.mark.parametrize("stages", [3, 5])
def test_the_three_losses_make_up_the_heads(stages: int) -> None:
    head, maps, targets = mnc(stages), detection.features(6), cases.mixed()
    outputs = head(maps)
    parts = head.part_losses(outputs, targets)
    assert tuple(parts) == tuple(head.part_parameters()) == ("box", "mask", "category")
    torch.testing.assert_close(sum(parts.values()), head.loss(outputs, targets))
    assert all(loss.shape == (6,) and loss[4] == 0 for loss in parts.values())
    assert parts["mask"][2] == 0  # an image without objects has no mask to learn
    assert parts["category"][2] > 0


@pytest.mark.parametrize(
    ("part", "stages", "trained"),
    [
        ("box", 3, {"proposal_head"}),
        ("box", 5, {"proposal_head", "offsets", "box_path", "mask_path", "mask_branch"}),
        ("mask", 5, {"mask_branch"}),
        ("category", 3, {"category", "box_path", "mask_path", "mask_branch"}),
        ("category", 5, {"category", "box_path", "mask_path", "mask_branch"}),
    ],
)
def test_what_each_loss_trains(part: str, stages: int, trained: set[str]) -> None:
    """Categories train the masks that they look through; nothing behind the boxes trains the boxes."""
    head = mnc(stages)
    head.part_losses(head(detection.features(6)), cases.mixed())[part].sum().backward()
    assert names_with_gradient(head) == trained


def test_boxes_move_by_their_best_category_and_stay_in_the_image() -> None:
    boxes = torch.tensor([[10.0, 10, 30, 30], [40.0, 40, 80, 60]])
    wanted = torch.tensor([[12.0, 8, 40, 36], [44.0, 44, 120, 70]])
    offsets = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    offsets[[0, 1], [2, 0]] = encode(wanted, boxes, OFFSET_WEIGHTS)
    logits = torch.tensor([[0.0, 1.0, 2.0, 9.0], [3.0, 1.0, 2.0, 0.0]])  # the last is background
    moved = move(boxes, logits, offsets.requires_grad_(), torch.tensor([[96.0, 96.0], [96.0, 90.0]]))
    assert not moved.requires_grad
    torch.testing.assert_close(moved, torch.tensor([[12.0, 8, 40, 36], [44.0, 44, 90, 70]]), rtol=1e-4, atol=1e-3)


def test_moved_regions_are_matched_anew() -> None:
    known = cases.target([[10, 10, 40, 40], [60, 60, 90, 90]], [0, 1], [False, True])
    boxes = torch.tensor([[[0.0, 0, 8, 8], [12.0, 10, 40, 40], [70.0, 10, 90, 30], [0.0, 0, 9, 9]]])
    chosen = torch.tensor([[True, True, True, False]])
    before = Regions.of(boxes, torch.tensor([[-1, 0, -1, -1]]), chosen)
    after = before.moved(
        torch.tensor([[10.0, 10, 40, 39], [60.0, 10, 80, 40], [60.0, 60, 90, 90]]), Objects.of([known], [True])
    )
    assert after.boxes.tolist() == [[10, 10, 40, 39], [60, 10, 80, 40]]  # the third is on a difficult object
    assert after.objects.tolist() == [0, -1]
    assert after.chosen.tolist() == [[True, True, False, False]]
    assert after.positive.tolist() == [[True, False, False, False]]


def test_three_stages_keep_the_boxes_of_the_first() -> None:
    maps, sizes = detection.features(2), torch.tensor([[96.0, 96.0], [96.0, 70.0]])
    three, five = mnc(3), mnc(5)
    for head, same in ((three, True), (five, False)):
        outputs = head(maps)
        boxes, present = head.propose(outputs, sizes)
        _, scored = head.scored_boxes(outputs, sizes)
        assert torch.equal(scored[present], boxes[present]) == same


def test_many_regions_in_several_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    head, sizes = mnc(5), torch.tensor([[96.0, 96.0]])
    outputs = head(detection.features(1))
    with torch.no_grad():
        whole = head.scored_boxes(outputs, sizes)
        monkeypatch.setattr("vjo_train.heads.instance.mnc.REGIONS_AT_ONCE", 7)
        torch.testing.assert_close(head.scored_boxes(outputs, sizes), whole, rtol=1e-4, atol=1e-4)
