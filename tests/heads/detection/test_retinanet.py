from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.models.detection._utils import Matcher
from torchvision.models.detection.retinanet import RetinaNetHead
from torchvision.ops import box_iou

from tests.heads.detection import cases
from vjo_train.errors import ConfigError
from vjo_train.heads.detection.anchors import BACKGROUND, IGNORED, grid_anchors, match
from vjo_train.heads.detection.boxes import encode
from vjo_train.heads.detection.objects import Objects
from vjo_train.heads.detection.retinanet import RetinaNetOutputs
from vjo_train.types import Target


def anchors() -> torch.Tensor:
    shapes = [(-(-cases.SIZE // s), -(-cases.SIZE // s)) for s in (8, 16, 32)]
    return torch.cat(grid_anchors(shapes, [8, 16, 32], [4.0], torch.device("cpu")))


def objects(*targets: Target) -> Objects:
    return Objects.of(targets, [True] * len(targets))


def test_anchors_lie_around_the_centres_of_the_cells() -> None:
    first, second = grid_anchors([(1, 2), (1, 1)], [8, 16], [4.0, 8.0], torch.device("cpu"))
    assert first.shape == (2 * 6, 4)
    centres = (first[:, :2] + first[:, 2:]) / 2
    assert centres.unique(dim=0).tolist() == [[4, 4], [12, 4]]
    assert centres[:6].unique(dim=0).tolist() == [[4, 4]]
    sizes = second[:, 2:] - second[:, :2]
    assert [64.0, 64.0] in sizes.tolist()
    ratios = (sizes[:, 1] / sizes[:, 0]).sort().values
    assert ratios.tolist() == pytest.approx([0.5, 0.5, 1, 1, 2, 2], rel=0.05)  # torchvision rounds sides


@given(st.integers(0, 10**6), st.integers(1, 6), st.booleans())
@settings(max_examples=25)
def test_matching_is_that_of_torchvision(seed: int, count: int, keep_best: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    corner = 60 * torch.rand(count, 2, generator=generator)
    boxes = torch.cat([corner, corner + 3 + 50 * torch.rand(count, 2, generator=generator)], dim=1)
    theirs = Matcher(0.5, 0.4, allow_low_quality_matches=keep_best)(box_iou(boxes, anchors()))
    few = cases.target(boxes[:1].tolist())
    ours = match(anchors(), objects(cases.target(boxes.tolist()), few), 0.5, 0.4, keep_best)
    assert ours[0].tolist() == theirs.tolist()


def test_matches_with_difficult_objects_are_ignored() -> None:
    place = anchors()[100].tolist()
    normal = match(anchors(), objects(cases.target([place])), 0.5, 0.4, True)[0]
    difficult = match(anchors(), objects(cases.target([place], difficult=[True])), 0.5, 0.4, True)[0]
    assert normal[100] == 0
    assert ((normal == 0) <= (difficult == IGNORED)).all()
    assert (difficult < 0).all()
    assert ((normal == BACKGROUND) == (difficult == BACKGROUND)).all()


def test_without_objects_all_is_background() -> None:
    assert (match(anchors(), objects(cases.target()), 0.5, 0.4, True) == BACKGROUND).all()


SCENE = cases.target([[4, 4, 30, 40], [40, 20, 90, 80]], [0, 1])


def test_perfect_outputs_cost_nothing_and_decode_to_the_objects() -> None:
    head = cases.head("retinanet")
    places = head(cases.features(1)).anchors
    found = match(places, objects(SCENE), 0.5, 0.4, True)[0]
    positive, picked = found >= 0, found.clamp(min=0)
    logits = torch.full((1, len(places), cases.CLASSES), -12.0)
    logits[0, positive, SCENE["boxes"].labels[picked[positive]]] = 12.0
    outputs = RetinaNetOutputs(logits, encode(SCENE["boxes"].xyxy[picked], places)[None], places)
    assert head.loss(outputs, [SCENE]).item() == pytest.approx(0, abs=1e-3)
    originals = [cases.target((SCENE["boxes"].xyxy * 2).tolist(), [0, 1], size=(192, 192))]
    (detections,) = head.decode(outputs, cases.batch([SCENE], [0.5], originals))
    order = detections.labels.argsort()
    assert detections.labels[order].tolist() == [0, 1]
    torch.testing.assert_close(detections.boxes[order], originals[0]["boxes"].xyxy, rtol=1e-4, atol=1e-2)


def test_class_loss_is_that_of_torchvision() -> None:
    """And the box loss with it, once torchvision's L1 is set to the smooth L1 of the paper's predecessors."""
    head = cases.head("retinanet")
    outputs = head(cases.features(2))
    targets = [SCENE, cases.target()]
    found = list(match(outputs.anchors, objects(*targets), 0.5, 0.4, True))
    theirs = RetinaNetHead(16, 9, cases.CLASSES)
    dicts = [{"boxes": t["boxes"].xyxy, "labels": t["boxes"].labels} for t in targets]
    predictions = {"cls_logits": outputs.logits, "bbox_regression": outputs.offsets}
    classes = theirs.classification_head.compute_loss(dicts, predictions, found)
    l1 = theirs.regression_head.compute_loss(dicts, predictions, [outputs.anchors] * 2, found)
    # Smooth L1 with beta 1/9 is L1 - 1/18 beyond 1/9, so the two differ by at most 4/18 of an image's mean match.
    difference = classes + l1 - head.loss(outputs, targets).mean()
    assert 0 <= difference.item() <= 4 / 18 / 2 + 1e-6


def test_thresholds_that_cross_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"heads\.detection\.background_iou: found 0\.6; allowed is at most"):
        cases.head("retinanet", background_iou=0.6)
