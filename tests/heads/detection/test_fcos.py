from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.models.detection.fcos import FCOSHead

from tests.heads.detection import cases
from vjo_train.heads.detection.fcos import (
    FCOS,
    FCOSOutputs,
    Locations,
    assign,
    boxes_around,
    centreness,
    grid,
    positive_sides,
    sides_of,
)
from vjo_train.heads.detection.objects import Objects
from vjo_train.types import Target

STRIDES = [8, 16, 32, 64, 128]


def locations(size: int = cases.SIZE) -> Locations:
    shapes = [(-(-size // s), -(-size // s)) for s in STRIDES]
    return grid(shapes, STRIDES, torch.device("cpu"))


def objects(*targets: Target) -> Objects:
    return Objects.of(targets, [True] * len(targets))


def test_locations_are_the_centres_of_the_cells() -> None:
    found = grid([(2, 3), (1, 2)], [8, 16], torch.device("cpu"))
    assert found.points.tolist() == [[4, 4], [12, 4], [20, 4], [4, 12], [12, 12], [20, 12], [8, 8], [24, 8]]
    assert found.strides.tolist() == [8] * 6 + [16] * 2
    assert found.ranges[0].tolist() == [0, 64]
    assert found.ranges[-1].tolist() == [64, math.inf]


def test_ranges_of_the_paper() -> None:
    assert locations(1024).ranges.unique(dim=0).tolist() == [
        [0, 64], [64, 128], [128, 256], [256, 512], [512, math.inf]
    ]  # fmt: skip


def test_assignment_by_hand() -> None:
    """A 3 x 3 grid of stride 8: points at 4, 12, 20. The object's centre is (12, 12)."""
    one_level = grid([(3, 3)], [8], torch.device("cpu"))
    wide = cases.target([[2, 2, 22, 22]])
    assert assign(one_level, objects(wide), 1.5)[0].tolist() == [[0] * 9]
    assert assign(one_level, objects(wide), 0.5)[0].tolist() == [[-1, -1, -1, -1, 0, -1, -1, -1, -1]]
    small_wins = cases.target([[2, 2, 22, 22], [9, 9, 22, 22]])
    assert assign(one_level, objects(small_wins), 1.5)[0].tolist() == [[0, 0, 0, 0, 1, 1, 0, 1, 1]]


def test_the_farthest_side_decides_the_level() -> None:
    """From the centre of a 60 px box all sides are 30 away (p3); of a 140 px box 70 (p4)."""
    found, _ = assign(locations(256), objects(cases.target([[0, 0, 60, 60], [80, 80, 220, 220]])), 1.5)
    strides = locations(256).strides
    assert set(strides[found[0] == 0].tolist()) == {8}
    assert set(strides[found[0] == 1].tolist()) == {16}


def test_places_in_difficult_objects_are_ignored_unless_they_find_another() -> None:
    one_level = grid([(3, 3)], [8], torch.device("cpu"))
    both = cases.target([[0, 0, 16, 16], [9, 9, 22, 22]], [0, 1], [True, False])
    found, ignored = assign(one_level, objects(both), 1.5)
    assert found.tolist() == [[-1, -1, -1, -1, 1, 1, -1, 1, 1]]
    assert ignored.tolist() == [[True, True, False, True, False, False, False, False, False]]


def literal_assignment(places: Locations, target: Target, radius: float) -> tuple[list[int], list[bool]]:
    """One location and one object at a time."""
    found, ignored = [], []
    for (x, y), stride, (low, high) in zip(
        places.points.tolist(), places.strides.tolist(), places.ranges.tolist(), strict=True
    ):
        best, least, in_difficult = -1, math.inf, False
        for index, (x1, y1, x2, y2) in enumerate(target["boxes"].xyxy.tolist()):
            if not (x1 < x < x2 and y1 < y < y2):
                continue
            if target["boxes"].difficult[index]:
                in_difficult = True
                continue
            central = max(abs(x - (x1 + x2) / 2), abs(y - (y1 + y2) / 2)) < radius * stride
            area = (x2 - x1) * (y2 - y1)
            if central and low < max(x - x1, x2 - x, y - y1, y2 - y) <= high and area < least:
                best, least = index, area
        found.append(best)
        ignored.append(in_difficult and best < 0)
    return found, ignored


quarter_pixels = st.integers(0, 4 * cases.SIZE).map(lambda n: n / 4)
box = st.tuples(quarter_pixels, quarter_pixels, st.integers(4, 300), st.integers(4, 300)).map(
    lambda b: [b[0], b[1], b[0] + b[2] / 4, b[1] + b[3] / 4]
)
image = st.lists(st.tuples(box, st.booleans()), max_size=6).map(
    lambda found: cases.target([b for b, _ in found], difficult=[d for _, d in found])
)


@given(st.lists(image, min_size=1, max_size=3), st.sampled_from([0.5, 1.5, 3.0]))
@settings(max_examples=40)
def test_assignment_is_the_literal_one(targets: list[Target], radius: float) -> None:
    places = locations()
    found, ignored = assign(places, objects(*targets), radius)
    for row, target in enumerate(targets):
        assert (found[row].tolist(), ignored[row].tolist()) == literal_assignment(places, target, radius)


def outputs_for(target: Target, confidence: float = 12.0) -> FCOSOutputs:
    """What a perfect network would say of one image."""
    places = locations()
    found, _ = assign(places, objects(target), 1.5)
    positive, picked = found[0] >= 0, found[0].clamp(min=0)
    logits = torch.full((1, len(places.points), cases.CLASSES), -confidence)
    sides = torch.ones(1, len(places.points), 4)
    centre = torch.full((1, len(places.points)), -confidence)
    if len(target["boxes"]):
        wanted = sides_of(places.points, target["boxes"].xyxy[picked])
        logits[0, positive, target["boxes"].labels[picked[positive]]] = confidence
        sides[0, positive] = (wanted / places.strides[:, None])[positive]
        centre[0, positive] = centreness(wanted[positive]).clamp(1e-6, 1 - 1e-6).logit()
    return FCOSOutputs(logits, sides, centre, places)


SCENE = cases.target([[4, 4, 30, 40], [40, 20, 90, 80], [50, 84, 70, 95]], [0, 1, 2])


def test_perfect_outputs_cost_no_more_than_the_entropy_of_the_centreness() -> None:
    head = cases.head("fcos")
    outputs = outputs_for(SCENE)
    found, _ = assign(outputs.locations, objects(SCENE), 1.5)
    positive = found[0] >= 0
    c = outputs.centreness[0, positive].sigmoid()
    entropy = -(c * c.log() + (1 - c) * (1 - c).log()).mean()
    assert head.loss(outputs, [SCENE]).item() == pytest.approx(entropy.item(), abs=1e-3)
    assert head.loss(outputs_for(cases.target()), [cases.target()]).item() == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("scale", [0.5, 1.0, 0.25])
def test_decoding_perfect_outputs_gives_the_objects_in_file_pixels(scale: float) -> None:
    side = int(cases.SIZE / scale)
    originals = [
        cases.target((SCENE["boxes"].xyxy / scale).tolist(), SCENE["boxes"].labels.tolist(), size=(side, side))
    ]
    (found,) = cases.head("fcos").decode(outputs_for(SCENE), cases.batch([SCENE], [scale], originals))
    order = found.labels.argsort()
    assert found.labels[order].tolist() == [0, 1, 2]
    torch.testing.assert_close(found.boxes[order], originals[0]["boxes"].xyxy, rtol=1e-4, atol=1e-2)
    assert bool((found.scores[:-1] >= found.scores[1:]).all())


def test_loss_is_that_of_torchvision_on_one_image() -> None:
    """The same outputs and the same matches: torchvision's three losses, which it divides by the batch's positives."""
    head = cases.head("fcos")
    outputs = head(cases.features(1))
    found, _ = assign(outputs.locations, objects(SCENE), head.centre_radius)
    theirs = FCOSHead(32, 1, cases.CLASSES)
    places = outputs.locations
    half = places.strides[:, None] / 2
    anchors = torch.cat([places.points - half, places.points + half], dim=1)
    losses = theirs.compute_loss(
        [{"boxes": SCENE["boxes"].xyxy, "labels": SCENE["boxes"].labels}],
        {
            "cls_logits": outputs.logits,
            "bbox_regression": outputs.sides,
            "bbox_ctrness": outputs.centreness[..., None],
        },
        [anchors],
        [found[0]],
    )
    expected: Tensor = sum(losses.values())
    assert head.loss(outputs, [SCENE]).item() == pytest.approx(expected.item(), rel=1e-4)


def test_sides_are_positive_increasing_and_smooth_at_the_knee() -> None:
    raw = torch.linspace(-8, 60, 2000, dtype=torch.float64, requires_grad=True)
    sides = positive_sides(raw)
    sides.sum().backward()
    assert bool((sides > 0).all())
    assert bool((sides.diff() > 0).all())
    assert raw.grad is not None
    assert raw.grad.max().item() == pytest.approx(math.exp(3))
    assert positive_sides(torch.tensor(1.0)).item() == pytest.approx(math.e)
    assert positive_sides(torch.tensor(5.0)).item() == pytest.approx(3 * math.exp(3))


def test_centreness_and_sides_by_hand() -> None:
    sides = torch.tensor([[2.0, 3.0, 2.0, 3.0], [1.0, 2.0, 4.0, 8.0]])
    assert centreness(sides).tolist() == pytest.approx([1.0, 0.25])
    points = torch.tensor([[10.0, 20.0]])
    around = boxes_around(points, sides[1:])
    assert around.tolist() == [[9, 18, 14, 28]]
    assert sides_of(points, around).tolist() == sides[1:].tolist()


def test_an_untrained_head_says_one_percent() -> None:
    head = FCOS(channels=cases.CHANNELS, num_classes=3, depth=1)
    logits = head(cases.features(1)).logits
    assert logits.sigmoid().mean().item() == pytest.approx(0.01, rel=0.2)
