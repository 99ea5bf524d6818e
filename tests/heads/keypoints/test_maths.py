"""Heat maps and offsets: closed forms, and the way to points and back."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from vjo_train.heads.keypoints.fcos import point_losses
from vjo_train.heads.keypoints.heat_maps import cells, heat_map_loss, points_of_maps

BOX = torch.tensor([[10.0, 20.0, 66.0, 132.0]])
"""56 x 112 pixels: cells of 1 x 2."""


def point(x: float, y: float, known: float = 2.0) -> torch.Tensor:
    return torch.tensor([[[x, y, known]]])


def test_cells_are_counted_row_by_row_and_edges_belong_to_the_box() -> None:
    for x, y, cell in ((10, 20, 0), (11.5, 20, 1), (10, 22.5, 56), (66, 132, 56 * 56 - 1)):
        place, inside = cells(point(x, y), BOX, 56)
        assert (place.item(), inside.item()) == (cell, True)
    for x, y, known in ((9.9, 30, 2), (20, 132.1, 2), (20, 30, 0)):
        assert not cells(point(x, y, known), BOX, 56)[1].item()


def test_a_map_that_knows_nothing_loses_one_and_one_that_knows_loses_nothing() -> None:
    logits = torch.zeros(1, 3, 56, 56)
    points = torch.cat([point(20, 30), point(30, 40, 1), point(20, 30, 0)], dim=1)
    loss, count = heat_map_loss(logits, points, BOX)
    assert count.item() == 2
    assert loss.item() == pytest.approx(2)
    where, _ = cells(points, BOX, 56)
    sure = 100 * F.one_hot(where, 56 * 56).view(1, 3, 56, 56).float()
    assert heat_map_loss(sure, points, BOX)[0].item() == pytest.approx(0, abs=1e-6)
    two = sure.clone()
    two[0, 0, 0, 0] = 100  # of two cells, the right one is as likely as the other
    assert heat_map_loss(two, points, BOX)[0].item() == pytest.approx(math.log(2) / math.log(56**2))


def test_no_boxes_lose_nothing() -> None:
    loss, count = heat_map_loss(torch.zeros(0, 3, 56, 56), torch.zeros(0, 3, 3), torch.zeros(0, 4))
    assert (len(loss), len(count)) == (0, 0)
    assert points_of_maps(torch.zeros(0, 3, 56, 56), torch.zeros(0, 4)).shape == (0, 3, 3)


@settings(max_examples=60)
@given(st.floats(0, 500), st.floats(0, 500), st.floats(4, 400), st.floats(4, 400), st.floats(0, 1), st.floats(0, 1))
def test_planted_points_come_back_to_within_a_cell(
    x: float, y: float, width: float, height: float, across: float, down: float
) -> None:
    box = torch.tensor([[x, y, x + width, y + height]])
    planted = point(x + across * width, y + down * height)
    where, inside = cells(planted, box, 56)
    if not inside:  # by rounding
        return
    maps = 30 * F.one_hot(where, 56 * 56).view(1, 1, 56, 56).float()
    found = points_of_maps(maps, box)[0, 0]
    error = (found[:2] - planted[0, 0, :2]).abs() / torch.tensor([width, height]) * 56
    assert error.max() <= 0.5 + 1e-2
    assert found[2] == pytest.approx(1, abs=1e-3)


def test_neighbouring_cells_say_where_between_them_a_point_lies() -> None:
    maps = torch.full((1, 1, 56, 56), -50.0)
    maps[0, 0, 10, 20], maps[0, 0, 10, 21] = math.log(0.75), math.log(0.25)
    found = points_of_maps(maps, torch.tensor([[0.0, 0.0, 56.0, 56.0]]))[0, 0]
    assert found.tolist() == pytest.approx([20.5 + 0.25, 10.5, 1], abs=1e-4)
    maps[0, 0, 40, 40] = math.log(0.5)
    found = points_of_maps(maps, torch.tensor([[0.0, 0.0, 56.0, 56.0]]))[0, 0]
    assert found.tolist() == pytest.approx([20.75, 10.5, 1 / 1.5], abs=1e-4), "another likely place makes it less sure"


def test_distances_are_measured_by_the_size_of_the_object() -> None:
    truth = torch.tensor([[[10.0, 10.0, 2.0], [20.0, 10.0, 1.0], [0.0, 0.0, 0.0]]])
    places = torch.tensor([[[13.0, 10.0], [20.0, 14.0], [99.0, 99.0]]])
    boxes = torch.tensor([[0.0, 0.0, 40.0, 10.0]])
    distance, entropy, known = point_losses(places, torch.zeros(1, 3), truth, boxes)
    assert distance.item() == pytest.approx((3 + 4) / 20)
    assert entropy.item() == pytest.approx(3 * math.log(2))
    assert known.item() == 2
    larger = point_losses(3 * places, torch.zeros(1, 3), truth * torch.tensor([3, 3, 1]), 3 * boxes)[0]
    assert larger.item() == pytest.approx(distance.item())
    nothing = point_losses(places, torch.zeros(1, 3), truth * torch.tensor([1, 1, 0]), boxes)
    assert [value.item() for value in nothing] == [0, 0, 0]
