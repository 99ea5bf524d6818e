"""Classes that nobody looked for in a picture count neither way, in losses and in metrics."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.heads.detection import cases
from tests.heads.instance import cases as instances
from vjo_train.heads.base import Head
from vjo_train.heads.detection.faster_rcnn import class_loss
from vjo_train.heads.detection.focal import focal_loss
from vjo_train.heads.detection.objects import Objects
from vjo_train.heads.detection.proposals import ProposalOutputs, proposal_loss
from vjo_train.heads.detection.regions import Regions
from vjo_train.heads.instance.metrics import InstanceMetrics
from vjo_train.heads.keypoints.metrics import KeypointMetrics
from vjo_train.heads.label_space import LabelSpace
from vjo_train.heads.panoptic.metrics import PanopticMetrics
from vjo_train.heads.panoptic.segments import Segments
from vjo_train.heads.semantic import SemanticFPN, SemanticMetrics
from vjo_train.heads.unknown import with_unknown
from vjo_train.types import IGNORE, Boxes, Detections, Keypoints, Target

KINDS = ("boxes", "masks", "semantic")
DETECTORS = ("fcos", "retinanet", "faster_rcnn")


def knowing(target: Target, *known: bool) -> Target:
    """The target of an image in which some of the classes were looked for, for all kinds of label."""
    return replace(target, annotated={kind: np.array(known) for kind in KINDS})


def losses(head: Head, targets: list[Target]) -> tuple[Tensor, dict[str, Tensor]]:
    """The losses of the images, and the gradients of their sum."""
    torch.manual_seed(1)
    head.zero_grad()
    found = head.loss(head(cases.features(len(targets))), targets)
    found.sum().backward()
    return found.detach(), {name: p.grad.clone() for name, p in head.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("kind", [*DETECTORS, *instances.KINDS])
def test_with_all_classes_known_nothing_changes(kind: str) -> None:
    head: Head = cases.head(kind) if kind in DETECTORS else instances.head(kind)
    targets = cases.mixed() if kind in DETECTORS else instances.mixed()
    plain, gradients = losses(head, targets)
    told, others = losses(head, [knowing(target, True, True, True) for target in targets])
    assert torch.equal(plain, told)
    assert all(torch.equal(gradient, others[name]) for name, gradient in gradients.items())


@pytest.mark.parametrize("kind", DETECTORS)
def test_an_image_changes_no_other_and_none_is_infinite(kind: str) -> None:
    head = cases.head(kind)
    targets = [*cases.mixed(), knowing(cases.target([[10, 30, 60, 70]], [2]), False, True, True)]
    plain, _ = losses(head, [*targets[:-1], cases.target([[10, 30, 60, 70]], [2])])
    told, gradients = losses(head, targets)
    assert torch.equal(plain[:-1], told[:-1])
    assert told[-1] < plain[-1]
    assert all(gradient.isfinite().all() for gradient in gradients.values())


@pytest.mark.parametrize("kind", ["fcos", "retinanet"])
def test_dense_detectors_learn_nothing_of_unknown_classes_off_objects(kind: str) -> None:
    head = cases.head(kind)
    targets = [knowing(target, True, False, True) for target in (cases.target(), cases.target([[20, 20, 70, 80]], [2]))]
    outputs = head(cases.features(2))
    outputs.logits.retain_grad()
    head.loss(outputs, targets).sum().backward()
    slopes = outputs.logits.grad
    assert not slopes[0, :, 1].any()
    assert slopes[0, :, [0, 2]].all()
    # An object of one class is of no other: known or not, they learn from it.
    positive = slopes[1, :, 2] < 0
    assert positive.any()
    assert (slopes[1, positive, 1] > 0).all()
    assert not slopes[1, ~positive, 1].any()


@given(st.data())
def test_focal_loss_leaves_out_the_negatives_of_unknown_classes(data: st.DataObject) -> None:
    count, rows, classes = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 5)), data.draw(st.integers(1, 4))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    logits = torch.randn(count, rows, classes, generator=generator).requires_grad_()
    there = torch.rand(count, rows, generator=generator) < 0.3
    image, row = there.nonzero(as_tuple=True)
    label = torch.randint(0, classes, (len(image),), generator=generator)
    unknown = torch.rand(count, classes, generator=generator) < 0.5
    wanted = torch.zeros(count, rows, classes)
    wanted[image, row, label] = 1
    p = logits.sigmoid()
    each = torch.where(wanted > 0, -0.25 * (1 - p) ** 2 * p.log(), -0.75 * p**2 * (1 - p).log())
    expected = torch.where(unknown[:, None] & ~there[..., None], 0.0, each).sum(2)
    (slope,) = torch.autograd.grad(expected.sum(), logits, retain_graph=True)
    found = focal_loss(logits, image, row, label, unknown)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(torch.autograd.grad(found.sum(), logits)[0], slope)
    order = torch.randperm(classes, generator=generator)
    moved = focal_loss(logits[..., order], image, row, order.argsort()[label], unknown[:, order])
    torch.testing.assert_close(moved, found)


@given(st.data())
def test_background_is_background_or_unknown(data: st.DataObject) -> None:
    classes, rows = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    background = data.draw(st.sampled_from([0, -1]))
    logits = torch.randn(rows, classes + 1, 2, generator=generator)
    unknown = torch.rand(rows, classes, generator=generator) < 0.5
    channels = F.pad(unknown, (1, 0) if background == 0 else (0, 1))[..., None]
    p = logits.softmax(1)
    expected = torch.where(channels, 0.0, p)
    expected[:, background] += (p * channels).sum(1)
    torch.testing.assert_close(with_unknown(logits, channels, background).softmax(1), expected)
    nothing = with_unknown(logits, torch.zeros_like(channels), background)
    assert torch.equal(nothing, logits)


def test_the_second_stage_takes_a_region_without_object_for_background_or_unknown() -> None:
    objects = Objects.of([cases.target([[0, 0, 10, 10]], [2])], [True], unknown=torch.tensor([[True, False, False]]))
    boxes, found = torch.tensor([[[0.0, 0, 10, 10], [30, 30, 40, 40]]]), torch.tensor([[0, -1]])
    regions = Regions.of(boxes, found, torch.ones(1, 2, dtype=torch.bool))
    logits = torch.tensor([[1.0, 2, 3, 0], [1.0, 2, 3, 0]])
    p = logits.softmax(1)
    expected = -(p[0, 2].log() + (p[1, 3] + p[1, 0]).log()) / 2
    torch.testing.assert_close(class_loss(logits, regions, objects), expected[None])


def test_an_anchor_without_object_may_have_an_unannotated_one() -> None:
    anchors = torch.tensor([[0.0, 0, 10, 10], [30, 30, 40, 40]])
    outputs = ProposalOutputs(torch.tensor([[0.3, 1.2]]), torch.zeros(1, 2, 4), [anchors])
    target = cases.target([[0, 0, 10, 10]], [2])
    none, some = torch.zeros(1, 3, dtype=torch.bool), torch.tensor([[True, True, False]])
    plain = proposal_loss(outputs, Objects.of([target], [True]), 4)
    assert torch.equal(proposal_loss(outputs, Objects.of([target], [True], unknown=none), 4), plain)
    p = outputs.objectness.sigmoid()[0]
    expected = -(p[0].log() + (1 - p[1] + 2 / 3 * p[1]).log()) / 2
    torch.testing.assert_close(proposal_loss(outputs, Objects.of([target], [True], unknown=some), 4), expected[None])


def semantic(**options: Any) -> SemanticFPN:
    torch.manual_seed(0)
    return SemanticFPN(channels=cases.CHANNELS, num_classes=3, width=8, **options)


@pytest.mark.parametrize("dice", [0.0, 1.0])
def test_pixels_of_the_background_may_show_unknown_classes(dice: float) -> None:
    truth = torch.zeros(96, 96, dtype=torch.uint8)
    truth[10:40, 10:40], truth[60:, 60:] = 3, IGNORE
    plain = Target((96, 96), {"semantic": truth})
    head = semantic(dice=dice)
    targets = [plain, knowing(plain, False, True, True), knowing(plain, True, True, True)]
    found, _ = losses(head, targets)
    same, _ = losses(head, [plain] * 3)
    assert torch.equal(found[[0, 2]], same[[0, 2]])
    outputs = head(cases.features(3))
    p = F.interpolate(outputs[1:2], scale_factor=8.0, mode="bilinear").softmax(1)[0]
    joined = torch.stack([p[0] + p[1], p[2], p[3]])  # class 1 is a part of the background
    wanted = torch.tensor([0, 0, 1, 2])[torch.where(truth == IGNORE, 0, truth).long()]
    counted = truth != IGNORE
    expected = -joined.gather(0, wanted[None])[0].log()[counted].mean()
    masks = F.one_hot(wanted, 3).movedim(2, 0) * counted
    coefficients = 2 * (joined * masks).sum((1, 2)) / ((joined * counted).sum((1, 2)) + masks.sum((1, 2)))
    expected = expected + dice * (1 - coefficients[[0, 2]]).mean()
    torch.testing.assert_close(found[1], expected.detach())


def detections(*labels: int) -> Detections:
    count = len(labels)
    boxes = torch.tensor([[10.0 * k, 0, 10 * k + 9, 9] for k in range(count)]).reshape(count, 4)
    masks = torch.zeros(count, 20, 40, dtype=torch.bool)
    for mask, box in zip(masks, boxes.int().tolist(), strict=True):
        mask[box[1] : box[3], box[0] : box[2]] = True
    points = torch.cat([boxes[:, None, :2] + 2, torch.ones(count, 1, 1)], 2)
    return Detections(boxes, torch.linspace(0.9, 0.5, count), torch.tensor(labels), masks, points)


def truth_of(found: Detections, *places: int) -> Target:
    """An image whose objects are some of the detections."""
    own = list(places)
    assert found.masks is not None
    assert found.keypoints is not None
    labels, points = found.labels[own], found.keypoints[own]
    boxes = Boxes(found.boxes[own], labels, torch.zeros(len(own), dtype=torch.bool))
    known = Keypoints(points, torch.full((len(own),), 81.0), torch.empty(0, 2, dtype=torch.int64))
    return Target((20, 40), {"boxes": boxes, "masks": found.masks[own], "keypoints": known})


def figures(metrics: Any, found: list[Any], targets: list[Target]) -> dict[str, Tensor]:
    metrics.update(found, targets)
    values: dict[str, Tensor] = metrics.compute()
    return {name: value.double() for name, value in values.items()}


@pytest.mark.parametrize("kind", ["detection", "instance", "keypoints"])
def test_detections_of_unknown_classes_count_neither_way(kind: str) -> None:
    def made() -> Any:
        if kind == "keypoints":
            return KeypointMetrics(3, [0.1])
        return InstanceMetrics(3) if kind == "instance" else cases.head("fcos").metrics()

    found, other = detections(2, 1, 0), detections(0, 2)
    kept = {field.name: getattr(found, field.name) for field in fields(found)}
    fewer = Detections(**{name: value if value is None else value[1:] for name, value in kept.items()})
    target, elsewhere = truth_of(found, 1), truth_of(other, 0, 1)
    plain = figures(made(), [found, other], [target, elsewhere])
    told = figures(made(), [found, other], [knowing(target, True, True, False), elsewhere])
    dropped = figures(made(), [fewer, other], [target, elsewhere])
    every = figures(made(), [found, other], [knowing(target, True, True, True), elsewhere])
    for name, value in told.items():
        assert torch.equal(value.nan_to_num(-1), dropped[name].nan_to_num(-1)), name
        assert torch.equal(plain[name].nan_to_num(-1), every[name].nan_to_num(-1)), name
    ap = next(name for name in made().per_class if "voc07" not in name)
    assert told[ap][2] == 1  # and its find elsewhere is judged
    assert plain[ap][2] < 1


def test_unknown_classes_predicted_on_background_count_neither_way() -> None:
    truth = torch.tensor([[0, 0, 1, 1, 255]], dtype=torch.uint8)
    found = torch.tensor([[2, 0, 1, 2, 2]], dtype=torch.uint8)
    target = Target((1, 5), {"semantic": truth})
    ignored = Target((1, 5), {"semantic": torch.tensor([[255, 0, 1, 1, 255]], dtype=torch.uint8)})
    told = figures(SemanticMetrics(2), [found], [knowing(target, True, False)])
    expected = figures(SemanticMetrics(2), [found], [ignored])
    assert all(torch.equal(value, expected[name]) for name, value in told.items())
    assert told["iou_background"] == 1
    assert told["iou"].tolist() == [0.5, 0]  # on a pixel that is known to be of class 0, class 1 is wrong


def test_segments_of_unknown_classes_on_background_are_forgiven() -> None:
    things = torch.tensor([True, True])
    empty = Boxes.none()
    target = Target(
        (4, 4),
        {"semantic": torch.zeros(4, 4, dtype=torch.uint8), "boxes": empty, "masks": torch.zeros(0, 4, 4).bool()},
    )
    ids = torch.zeros(4, 4, dtype=torch.int32)
    ids[:2] = 1
    found = Segments(ids, torch.tensor([1]), torch.tensor([0.9]), torch.tensor([True]))
    assert figures(PanopticMetrics(things, True), [found], [target])["pq_class"].nan_to_num(-1).tolist() == [-1, 0]
    told = figures(PanopticMetrics(things, True), [found], [knowing(target, True, False)])
    assert told["pq_class"].isnan().all()


def test_a_head_with_classes_of_its_own_knows_which_are_unknown() -> None:
    head = cases.head("fcos")
    head.space = LabelSpace(["c", "a"], ["a", "b", "c"])
    (own,) = head.view([knowing(cases.target([[0, 0, 9, 9], [0, 0, 5, 5]], [0, 1]), True, False, False)])
    assert own.annotated["boxes"].tolist() == [False, True]
    assert own["boxes"].labels.tolist() == [1]
