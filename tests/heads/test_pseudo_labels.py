"""What of a prediction is taken for a label, head by head."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests import tiny
from vjo_train.heads import pseudo_labels
from vjo_train.heads.category import Category
from vjo_train.heads.classification import Classification
from vjo_train.heads.detection.fcos import FCOS
from vjo_train.heads.instance.mask_rcnn import MaskRCNN
from vjo_train.heads.keypoints.keypoint_rcnn import KeypointRCNN
from vjo_train.heads.pixels.binary import Edges
from vjo_train.heads.semantic import SemanticFPN
from vjo_train.types import IGNORE, Boxes, Detections, Target

CHANNELS = {"c5": 16, "p2": 16, "p3": 16, "p4": 16, "p5": 16, "p6": 16, "p7": 16}


def batch(size: int = 2):
    whole = tiny.batch(size)
    return replace(whole, originals=[Target(one.size) for one in whole.targets])


def test_classes_are_taken_where_one_is_surely_there() -> None:
    head = Classification(channels=CHANNELS, num_classes=3)
    outputs = torch.tensor([[5.0, -5.0, 0.0], [-5.0, -5.0, -5.0]])
    there, nothing = head.taught(outputs, batch(), 0.9)
    assert there["classes"].tolist() == [1, -1, 0]
    assert not head.labelled(nothing)
    truth = Target((64, 64), {"classes": torch.tensor([-1, 1, 1], dtype=torch.int8)})
    assert head.agreement(there, truth) == (0, 1)
    truth["classes"][0] = 0  # only as a difficult object
    assert head.agreement(there, truth) == (0, 0)


def test_a_category_is_taken_where_it_is_sure() -> None:
    head = Category(channels=CHANNELS, num_classes=3)
    sure, unsure = head.taught(torch.tensor([[0.0, 9.0, 0.0], [0.0, 1.0, 0.0]]), batch(), 0.9)
    assert int(sure["category"]) == 1
    assert not head.labelled(unsure)
    assert head.agreement(sure, Target((1, 1), {"category": torch.tensor(1)})) == (1, 1)


@pytest.mark.parametrize("background", [True, False])
def test_sure_pixels_of_a_map(background: bool) -> None:
    head = SemanticFPN(channels=CHANNELS, num_classes=2, background=background, width=8)
    channels = 2 + background
    outputs = torch.zeros(2, channels, 8, 8)
    outputs[:, 0] = 1.0  # leads, and is not sure
    outputs[0, -1, :4] = 20.0
    whole = batch()
    whole.targets[0] = Target((48, 64))
    said, nothing = head.taught(outputs, whole, 0.9)
    label = said["semantic"]
    assert label.shape == (64, 64)
    assert (label[:28] == 2).all()  # the last class, whatever its channel
    assert (label[36:] == IGNORE).all()
    assert not head.labelled(nothing)
    truth = torch.full((64, 64), 2, dtype=torch.uint8)
    right, judged = head.agreement(said, Target((48, 64), {"semantic": truth}))
    assert right == judged == int((label != IGNORE).sum())
    losses = head.loss(torch.zeros_like(outputs), [said, nothing])
    assert losses[0] > 0 == losses[1]


def test_a_map_of_sure_background_teaches_nothing() -> None:
    head = SemanticFPN(channels=CHANNELS, num_classes=2, width=8)
    outputs = torch.zeros(1, 3, 8, 8)
    outputs[:, 0] = 20.0
    assert not head.labelled(head.taught(outputs, batch(1), 0.9)[0])
    edges = Edges(channels=CHANNELS, width=8)
    assert not edges.labelled(edges.taught(torch.full((1, 1, 8, 8), -20.0), batch(1), 0.9)[0])
    assert edges.taught(torch.full((1, 1, 8, 8), 20.0), batch(1), 0.9)[0]["edges"].unique().tolist() == [1]


def found(scores: list[float]) -> Detections:
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [20.0, 20.0, 40.0, 40.0], [0.0, 30.0, 9.0, 60.0]])
    masks = torch.zeros(3, 48, 64, dtype=torch.bool)
    return Detections(boxes, torch.tensor(scores), torch.tensor([0, 1, 2]), masks, torch.rand(3, 4, 3))


def test_objects_between_are_difficult_ones() -> None:
    labels = pseudo_labels.sure_objects(found([0.9, 0.3, 0.1]), 0.5, (64, 64))
    assert labels is not None
    assert labels["boxes"].difficult.tolist() == [False, True]
    assert labels["boxes"].labels.tolist() == [0, 1]
    assert labels["masks"].shape == (2, 64, 64)
    assert labels["keypoints"].areas.tolist() == [100, 400]
    unknown = labels["keypoints"].points[..., 2] == 0
    assert (labels["keypoints"].points[unknown] == 0).all()
    assert pseudo_labels.sure_objects(found([0.4, 0.3, 0.1]), 0.5, (64, 64)) is None


def test_an_object_is_right_by_place_and_class() -> None:
    said = Boxes(found([0.9, 0.8, 0.7]).boxes, torch.tensor([0, 1, 2]), torch.tensor([False, False, True]))
    truth = Boxes(torch.tensor([[0.0, 0.0, 10.0, 8.0], [20.0, 20.0, 40.0, 40.0]]), torch.tensor([0, 2]), torch.zeros(2))
    assert pseudo_labels.right_objects(said, truth) == (1, 2)
    assert pseudo_labels.right_objects(said, Boxes.none()) == (0, 2)


@pytest.mark.parametrize(
    "make",
    [
        lambda: FCOS(channels=CHANNELS, num_classes=3, depth=1),
        lambda: MaskRCNN(channels=CHANNELS, num_classes=3, hidden=16, mask_depth=1, mask_width=8),
        lambda: KeypointRCNN(channels=CHANNELS, num_classes=3, points=4, hidden=16, point_depth=1, point_width=8),
    ],
)
def test_what_a_detector_says_of_itself_can_be_learned(make) -> None:
    """The labels have the form that the same head's loss takes, and come from its own predictions."""
    torch.manual_seed(0)
    head = make().eval()
    features = {level: torch.randn(2, 16, 64 // 2 ** int(level[1:]) or 1, 64 // 2 ** int(level[1:]) or 1)
                for level in head.levels}  # fmt: skip
    whole = batch()
    with torch.no_grad():
        outputs = head(features)
        best = max(float(one.scores.max()) for one in head.decode(outputs, whole))
        said = head.taught(outputs, whole, best * 0.9)
        assert any(map(head.labelled, said))
        assert not any(map(head.labelled, head.taught(outputs, whole, min(0.999, best * 1.01))))
    losses = head.train().loss(head(features), said)
    assert losses.isfinite().all()
    assert [bool(loss > 0) for loss in losses] == [head.labelled(one) for one in said]
