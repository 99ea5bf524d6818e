from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
import torch.nn.functional as F
from torchvision.ops import MultiScaleRoIAlign

from tests.heads.detection import cases
from vjo_train.heads.detection.anchors import BACKGROUND, match
from vjo_train.heads.detection.boxes import encode
from vjo_train.heads.detection.faster_rcnn import FasterRCNN
from vjo_train.heads.detection.objects import Objects
from vjo_train.heads.detection.pooling import pool_regions
from vjo_train.heads.detection.proposals import ProposalOutputs, proposal_loss, propose
from vjo_train.heads.detection.sampling import sample

SCENE = cases.target([[4, 4, 40, 40], [40, 20, 90, 80]], [0, 1])


def test_samples_have_the_asked_size_and_share() -> None:
    torch.manual_seed(0)
    positive = torch.zeros(4, 100, dtype=torch.bool)
    positive[0, :60], positive[1, :3], positive[3, :] = True, True, True
    negative = ~positive
    negative[2, 5:] = False
    for _ in range(20):
        chosen = sample(positive, negative, 20, 0.25)
        assert (chosen & positive).sum(1).tolist() == [5, 3, 0, 5]
        assert (chosen & negative).sum(1).tolist() == [15, 17, 5, 0]
        assert not (chosen & ~positive & ~negative).any()


def test_every_place_is_sampled_equally_often() -> None:
    torch.manual_seed(0)
    everywhere = torch.ones(1, 10, dtype=torch.bool)
    times = torch.stack([sample(everywhere, ~everywhere, 8, 0.5)[0] for _ in range(2000)]).float().mean(0)
    assert times.tolist() == pytest.approx([0.4] * 10, abs=0.05)


def test_the_same_seed_gives_the_same_loss() -> None:
    head = cases.head("faster_rcnn", anchors_per_image=16, rois_per_image=16)
    maps, targets = cases.features(5), cases.mixed()
    losses = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        losses.append(head.loss(head(maps), targets).sum().item())
    assert losses[0] == losses[1] != losses[2]


def given_proposals() -> ProposalOutputs:
    """Two levels; offsets of zero, so that the proposals are the anchors."""
    levels = [
        torch.tensor([[0.0, 0, 20, 20], [1, 0, 21, 20], [50, 50, 70, 70]]),
        torch.tensor([[0.0, 0, 20, 20], [80, 80, 130, 130]]),
    ]
    objectness = torch.tensor([[3.0, 2.0, 1.0, 2.5, 0.5]])
    return ProposalOutputs(objectness, torch.zeros(1, 5, 4), levels)


def test_proposals_are_suppressed_within_levels_and_cut_to_the_image() -> None:
    boxes, present = propose(given_proposals(), torch.tensor([[96.0, 90.0]]), 10, 10)
    assert boxes[present].tolist() == [[0, 0, 20, 20], [0, 0, 20, 20], [50, 50, 70, 70], [80, 80, 90, 96]]
    assert present.tolist() == [[True] * 4 + [False]]
    few, _ = propose(given_proposals(), torch.tensor([[96.0, 90.0]]), 1, 10)
    assert few[0].tolist() == [[0, 0, 20, 20], [0, 0, 20, 20]]
    best, _ = propose(given_proposals(), torch.tensor([[96.0, 90.0]]), 10, 3)
    assert len(best[0]) == 3


def test_proposals_outside_the_image_are_padding() -> None:
    both = given_proposals()
    both = ProposalOutputs(both.objectness.repeat(2, 1), both.offsets.repeat(2, 1, 1), both.anchors)
    boxes, present = propose(both, torch.tensor([[96.0, 96.0], [40.0, 40.0]]), 10, 10)
    assert present.tolist() == [[True] * 4 + [False], [True] * 2 + [False] * 3]
    assert boxes[1, 2:].tolist() == [[0] * 4] * 3


def test_proposal_loss_over_all_anchors_by_hand() -> None:
    head = cases.head("faster_rcnn")
    outputs = head(cases.features(1)).proposals
    anchors = torch.cat(outputs.anchors)
    objects = Objects.of([SCENE], [True])
    found = match(anchors, objects, 0.7, 0.3, keep_best=True)[0]
    positive, sampled = found >= 0, found != -2
    labels = positive.float()
    entropy = F.binary_cross_entropy_with_logits(outputs.objectness[0, sampled], labels[sampled])
    truth = encode(SCENE["boxes"].xyxy[found[positive]], anchors[positive])
    distance = F.smooth_l1_loss(outputs.offsets[0, positive], truth, beta=1 / 9, reduction="sum") / sampled.sum()
    loss = proposal_loss(outputs, objects, 10**5)
    assert loss.item() == pytest.approx((entropy + distance).item(), rel=1e-4)
    assert (found == BACKGROUND).any()


@pytest.mark.parametrize("boundary", [False, True])
def test_pooling_is_that_of_torchvision(boundary: bool) -> None:
    """On its corner convention, which is half a cell off: compared on regions moved by half a cell of their level."""
    maps = {level: feature for level, feature in cases.features(2).items() if level in ("p3", "p4", "p5")}
    side = 300.0 if boundary else 60.0
    regions = torch.tensor([[4.0, 4, 30, 40], [0, 0, side, side], [10, 50, 90, 90]])
    image = torch.tensor([0, 1, 1])
    ours = pool_regions(list(maps.values()), [8, 16, 32], regions, image, 7)
    cell = torch.tensor([8.0, 16.0 if boundary else 8.0, 8.0])[:, None]
    theirs = MultiScaleRoIAlign(list(maps), output_size=7, sampling_ratio=2)
    moved = regions - cell / 2
    expected = theirs(OrderedDict(maps), [moved[:1], moved[1:]], [(cases.SIZE, cases.SIZE)] * 2)
    torch.testing.assert_close(ours, expected, rtol=1e-3, atol=1e-3)


def test_evaluation_has_a_number_of_proposals_of_its_own() -> None:
    head = cases.head("faster_rcnn")
    assert isinstance(head, FasterRCNN)
    head.proposals, head.eval_proposals = 40, 7
    outputs = head(cases.features(1))
    _, present = head.propose(outputs, torch.tensor([[96.0, 96.0]]))
    assert present.sum() == 7
    regions = head.sample_regions(outputs, Objects.of([SCENE], [True]))
    assert len(regions.boxes) > 7


def test_no_region_is_pooled_for_images_without_labels() -> None:
    head = cases.head("faster_rcnn")
    assert isinstance(head, FasterRCNN)
    head.loss(head(cases.features(1)), [cases.target(labelled=False)]).sum().backward()
    assert all(p.grad is None or not p.grad.any() for p in head.roi_head.parameters())


def test_regions_of_difficult_objects_are_not_sampled() -> None:
    """A difficult object whose box a region matches costs nothing in the second stage."""
    head = cases.head("faster_rcnn")
    outputs = head(cases.features(1))
    boxes, present = propose(outputs.proposals, torch.tensor([[96.0, 96.0]]), 1000, 50)
    difficult = Objects.of([cases.target(boxes[0, :1].tolist(), difficult=[True])], [True])
    found = match(boxes, difficult, 0.5, 0.5, keep_best=False)
    assert found[0, 0] == -2
    assert not (found >= 0).any()
    assert present.all()
