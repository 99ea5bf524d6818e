"""Key points follow their picture, and say what looks wrong about them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vjo_train.data.labels.keypoints import Keypoints, ObjectPoints
from vjo_train.data.letterbox import Picture, letterbox
from vjo_train.data.objects import Objects
from vjo_train.data.placement import OnCanvas, Unmoved
from vjo_train.data.transforms import Augment, generator
from vjo_train.types import Keypoints as Value

SWAP = np.array([0, 2, 1])
"""A nose, and a left and a right eye."""
EDGES = np.array([[0, 1], [0, 2]])
HEIGHT, WIDTH = 60, 90


def raw(points: list, areas: list[float] | None = None, swap: np.ndarray | None = SWAP) -> ObjectPoints:
    table = np.array(points, np.float32).reshape(len(points), 3, 3)
    return ObjectPoints(table, np.array(areas or [100] * len(points), np.float32), swap, EDGES)


def drawn(seed: int) -> tuple[np.ndarray, np.ndarray, torch.Tensor]:
    """Three objects side by side: boxes, their points, and a map with a square of 7 pixels around each point."""
    rng = np.random.default_rng(seed)
    boxes, points, marks = [], [], torch.zeros(1, HEIGHT, WIDTH, dtype=torch.uint8)
    for number in range(3):
        left = number * WIDTH // 3
        centres = rng.integers(-5, 6, (3, 2)) + np.array([[left + 15, 11], [left + 15, 29], [left + 15, 47]]) + 0.5
        for k, (x, y) in enumerate(centres.astype(int).tolist()):
            marks[0, y - 3 : y + 4, x - 3 : x + 4] = 3 * number + k + 1
        boxes.append([left + 1, 1, left + 29, HEIGHT - 1])
        points.append(np.concatenate([centres, rng.integers(1, 3, (3, 1))], axis=1))
    return np.array(boxes, np.float32), np.array(points, np.float32), marks


@settings(max_examples=80)
@given(st.sampled_from([(64, 64), (120, 96), (40, 80)]), st.integers(0, 10_000))
def test_points_lie_where_the_augmented_picture_shows_them(canvas: tuple[int, int], seed: int) -> None:
    """What marks a point in the picture is found at the point of that name; of the other side in a mirror image."""
    boxes, points, marks = drawn(seed)
    augment = Augment(zoom_out=0.4, zoom_out_max=2.0, crop=0.6, flip=0.5, jitter=0)
    image = marks.expand(3, -1, -1).contiguous()
    placement = letterbox(Picture(image, (HEIGHT, WIDTH), boxes), canvas, augment, generator(seed))
    value = Keypoints().place(ObjectPoints(points, np.full(3, 100, np.float32), SWAP), placement)
    seen = placement.maps(marks, 0)[0]
    assert value.points.shape == (len(placement.objects), 3, 3)
    torch.testing.assert_close(value.areas, torch.full((len(value.areas),), 100 * placement.scale**2))
    reach = 3.5 * placement.scale
    for row, number in zip(value.points, placement.objects.tolist(), strict=True):
        for k, (x, y, visible) in enumerate(row.tolist()):
            named = int(SWAP[k]) if placement.mirrored else k
            rows, columns = torch.nonzero(seen == 3 * number + named + 1, as_tuple=True)
            if not visible:
                assert (x, y) == (0, 0)
                assert len(rows) == 0 or len(rows) < (2 * reach + 1) ** 2 * 0.75, "its middle lies outside"
                continue
            assert visible == points[number, named, 2]
            assert 0 <= x <= placement.size[1]
            assert 0 <= y <= placement.size[0]
            inside = reach < x < placement.size[1] - reach and reach < y < placement.size[0] - reach
            if inside:
                middle = columns.float().mean() + 0.5, rows.float().mean() + 0.5
                assert abs(middle[0] - x) <= 1.01
                assert abs(middle[1] - y) <= 1.01


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.booleans())
def test_a_mirror_image_of_the_mirrored_truth_is_the_picture(seed: int, known: bool) -> None:
    boxes, points, _ = drawn(seed)
    image = torch.zeros(3, HEIGHT, WIDTH, dtype=torch.uint8)
    flip = Augment(zoom_out=0, crop=0, flip=1, jitter=0)

    def mirror(value: ObjectPoints, frames: np.ndarray) -> tuple[Value, OnCanvas]:
        placement = letterbox(Picture(image, (HEIGHT, WIDTH), frames), (HEIGHT, WIDTH), flip, generator(seed))
        return Keypoints().place(value, placement), placement

    once, placement = mirror(ObjectPoints(points, np.ones(3, np.float32), SWAP if known else None), boxes)
    if not known:
        assert not once.points.any(), "nothing says which points are left and right"
        return
    assert once.points[0, 1, 0] == pytest.approx(WIDTH - points[0, 2, 0]), "the left eye was the right one"
    twice, _ = mirror(ObjectPoints(once.points.numpy(), np.ones(3, np.float32), SWAP), placement.boxes(boxes))
    np.testing.assert_allclose(twice.points.numpy(), points, atol=1e-4)


def test_points_outside_the_picture_and_unknown_ones_are_zero() -> None:
    known = raw([[[5, 5, 2], [-1, 5, 2], [40, 30, 1]], [[7, 8, 0], [0, 0, 0], [41, 2, 2]]], [50, 60])
    before = known.points.copy()
    value = Keypoints().place(known, Unmoved((30, 40), 2))
    assert value.points.tolist() == [[[5, 5, 2], [0, 0, 0], [40, 30, 1]], [[0, 0, 0]] * 3]
    assert value.areas.tolist() == [50, 60]
    assert value.edges.tolist() == EDGES.tolist()
    np.testing.assert_array_equal(known.points, before)
    none = Keypoints().place(raw([]), Unmoved((30, 40), 0))
    assert none.points.shape == (0, 3, 3)


def test_points_far_from_their_box_look_wrong() -> None:
    boxes = np.array([[10, 10, 20, 30], [50, 10, 60, 30]], np.float32)
    objects = Objects(boxes, np.zeros(2, np.int64), np.zeros(2, np.bool_))
    sound = raw([[[5, 15, 2], [15, 35, 2], [0, 0, 0]], [[55, 15, 1], [0, 0, 0], [0, 0, 0]]])
    assert list(Keypoints().doubts(sound, objects)) == [], "a little outside, or unknown"
    swapped = list(Keypoints().doubts(sound[np.array([1, 0])], objects))
    assert [kind for kind, _ in swapped] == ["point outside box"] * 2
    assert swapped[1][1] == "2 of the 2 points of object 2 are far from its box"
