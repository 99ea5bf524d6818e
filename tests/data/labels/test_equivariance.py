"""Augmenting a picture and its label gives the label of the augmented picture, for every kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from vjo_train.data.labels.base import Kind
from vjo_train.data.labels.binary import Edges, Saliency
from vjo_train.data.labels.boxes import Boxes
from vjo_train.data.labels.category import Category
from vjo_train.data.labels.classes import Classes, ShownByObjects
from vjo_train.data.labels.depth import Depth
from vjo_train.data.labels.keypoints import Keypoints, ObjectPoints
from vjo_train.data.labels.masks import Masks
from vjo_train.data.labels.normals import Normals
from vjo_train.data.labels.semantic import Semantic
from vjo_train.data.letterbox import Picture, blank, letterbox
from vjo_train.data.objects import Objects
from vjo_train.data.placement import OnCanvas, Unmoved
from vjo_train.data.transforms import Augment
from vjo_train.types import IGNORE, Canvas

CANVAS = (64, 80)
LEVELS = (60, 200)
"""Grey of the ground and of the object: unlike the padding, so that a pixel says what it shows."""


def scene(height: int, width: int, box: tuple[int, int, int, int]) -> tuple[Tensor, Tensor]:
    """A picture of one bright rectangle, and the map that is 1 inside."""
    inside = torch.zeros(height, width, dtype=torch.uint8)
    left, top, right, bottom = box
    inside[top:bottom, left:right] = 1
    grey = torch.where(inside == 1, LEVELS[1], LEVELS[0]).to(torch.uint8)
    return torch.stack([grey, grey, grey]), inside


def laid(image: Tensor, box: tuple[int, int, int, int], seed: int, canvas: Canvas = CANVAS) -> tuple[OnCanvas, Tensor]:
    """An augmented picture without changes of colour: where it lies, and its pixels [H, W]."""
    augment = Augment(zoom_out=0.4, zoom_out_max=2.0, crop=0.6, flip=0.5, jitter=0.0)
    pixels = blank(*canvas)
    picture = Picture(image, (image.shape[1], image.shape[2]), np.array([box], np.float32))
    placement = letterbox(picture, canvas, augment, np.random.default_rng(seed), pixels)
    return placement, pixels[0].float()


def seen(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Where a canvas surely shows the object, and where surely the ground: interpolated borders are neither."""
    return (pixels - LEVELS[1]).abs() < 4, (pixels - LEVELS[0]).abs() < 4


pictures = st.tuples(st.integers(24, 90), st.integers(24, 90)).flatmap(
    lambda size: st.tuples(
        st.just(size),
        st.tuples(st.integers(1, size[1] - 14), st.integers(1, size[0] - 14)),
        st.tuples(st.integers(10, 12), st.integers(10, 12)),
        st.integers(0, 2**20),
    )
)


def drawn(case: Any) -> tuple[Tensor, Tensor, tuple[int, int, int, int], int]:
    (height, width), (left, top), (across, down), seed = case
    box = (left, top, left + across, top + down)
    return *scene(height, width, box), box, seed


@pytest.mark.parametrize("kind", [Semantic(), Edges(), Saliency()], ids=repr)
@settings(max_examples=60)
@given(case=pictures)
def test_maps_show_what_the_picture_shows(kind: Kind, case: Any) -> None:
    image, inside, box, seed = drawn(case)
    placement, pixels = laid(image, box, seed)
    placed = kind.place(inside, placement)
    yes, no = seen(pixels)
    assert placed.shape == CANVAS
    # The nearest pixel and the mean of pixels part by one pixel at a border.
    assert (placed[yes] == 1).float().mean() > 0.8 or yes.sum() < 30
    assert (placed[no] == 0).float().mean() > 0.95 or no.sum() < 30
    padding = torch.ones(CANVAS, dtype=torch.bool)
    padding[placement.down.place(), placement.across.place(placement.mirrored)] = False
    assert (placed[padding] == IGNORE).all()


@settings(max_examples=60)
@given(case=pictures)
def test_boxes_and_masks_stay_on_their_object(case: Any) -> None:
    image, inside, box, seed = drawn(case)
    placement, pixels = laid(image, box, seed)
    objects = Objects(np.array([box], np.float32), np.array([2]), np.array([False]))
    boxes, mask = Boxes().place(objects, placement), Masks().place(inside, placement)
    shown = Classes().place(ShownByObjects(objects, 4), placement)
    assert len(boxes) == len(mask) == len(placement.objects)
    assert shown.tolist() == [-1, -1, 1 if len(boxes) else -1, -1]
    yes, _ = seen(pixels)
    if not len(boxes) or yes.sum() < 30:
        return
    rows, columns = yes.nonzero().T
    extent = torch.tensor([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]).float()
    # Where the file's pixels are enlarged, a border is a blur of one of them.
    assert (boxes.xyxy[0] - extent).abs().max() <= 1.0 + 2.0 * max(placement.across.gain, placement.down.gain)
    assert mask[0][yes].float().mean() > 0.8


@settings(max_examples=60)
@given(case=pictures, inverse=st.booleans(), distance=st.floats(0.5, 20))
def test_an_enlarged_picture_is_nearer(case: Any, inverse: bool, distance: float) -> None:
    """z / s where the picture is s times as large on the canvas as all of it would be."""
    image, _, box, seed = drawn(case)
    placement, _ = laid(image, box, seed)
    raw = torch.full(image.shape[1:], distance)
    raw[:2] = float("nan")
    placed = Depth(inverse).place(raw, placement)
    known = placed[placed.isfinite()]
    plain = min(CANVAS[0] / image.shape[1], CANVAS[1] / image.shape[2])
    wanted = distance * placement.scale / plain if inverse else distance * plain / placement.scale
    torch.testing.assert_close(known, torch.full_like(known, wanted), rtol=1e-5, atol=0)
    assert torch.equal(Depth().place(raw, Unmoved((len(raw), 1), 0))[2:], raw[2:])


@settings(max_examples=60)
@given(case=pictures)
def test_normals_face_the_other_side_in_a_mirror(case: Any) -> None:
    image, inside, box, seed = drawn(case)
    placement, pixels = laid(image, box, seed)
    raw = torch.where(
        inside == 1, torch.tensor([0.6, 0.0, 0.8])[:, None, None], torch.tensor([0.0, 0.6, 0.8])[:, None, None]
    )
    placed = Normals().place(raw, placement)
    yes, _ = seen(pixels)
    if yes.sum() >= 30:
        assert placed[0][yes].median() == pytest.approx(-0.6 if placement.mirrored else 0.6, abs=1e-6)
    known = placed.isfinite().all(0)
    torch.testing.assert_close(placed[:, known].norm(dim=0), torch.ones(int(known.sum())))


@settings(max_examples=60)
@given(case=pictures)
def test_points_stay_on_their_object_and_change_sides_in_a_mirror(case: Any) -> None:
    """The corners of a box stay its corners, of which a mirror image exchanges left and right."""
    image, _, box, seed = drawn(case)
    placement, _ = laid(image, box, seed)
    left, top, right, bottom = box
    corners = np.array([[(left, top, 2), (right, top, 1), (right, bottom, 2), (left, bottom, 0)]], np.float32)
    placed = Keypoints().place(ObjectPoints(corners, np.ones(1, np.float32), np.array([1, 0, 3, 2])), placement).points
    objects = Objects(np.array([box], np.float32), np.array([0]), np.array([False]))
    boxes = Boxes().place(objects, placement).xyxy
    assert len(placed) == len(boxes)
    for points, (x1, y1, x2, y2) in zip(placed.tolist(), boxes.tolist(), strict=True):
        wanted = [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]
        unknown = 2 if placement.mirrored else 3
        assert points[unknown] == [0, 0, 0]
        for number, (x, y, seen) in enumerate(points):
            if seen:  # a corner beyond the crop is not known, and the box is cut there
                assert (x, y) == pytest.approx(wanted[number], abs=1e-3)


@settings(max_examples=20)
@given(case=pictures)
def test_a_category_is_that_of_any_part(case: Any) -> None:
    image, _, box, seed = drawn(case)
    assert Category().place(3, laid(image, box, seed)[0]).tolist() == 3
