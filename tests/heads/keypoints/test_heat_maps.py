"""Heat maps of points: there and back, and what they cost."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from vjo_train.heads.detection.regions import Regions
from vjo_train.heads.keypoints.heat_maps import SIDE, cells, located, point_loss

BOX = torch.tensor([[10.0, 20.0, 66.0, 132.0]])
"""Cells of 1 x 2 pixels."""


def planted(cell: Tensor, height: float = 50.0) -> Tensor:
    """[M, K] cells -> heat maps that are high there."""
    maps = torch.zeros(*cell.shape, SIDE * SIDE)
    return maps.scatter(-1, cell[..., None], height).unflatten(-1, (SIDE, SIDE))


@settings(deadline=None, max_examples=100)
@given(x=st.floats(10, 66), y=st.floats(20, 132))
def test_a_point_comes_back_within_its_cell(x: float, y: float) -> None:
    cell, inside = cells(torch.tensor([[[x, y, 2.0]]]), BOX)
    assert inside.all()
    found = located(planted(cell), BOX)[0, 0]
    assert abs(float(found[0]) - x) <= 0.5 + 1e-4
    assert abs(float(found[1]) - y) <= 1.0 + 1e-4
    assert float(found[2]) == pytest.approx(1, abs=1e-5)


def test_between_two_cells_lies_a_point_between_them() -> None:
    cell = torch.tensor([[10 * SIDE + 7]])
    maps = planted(cell)
    maps[0, 0, 10, 8] = 50.0
    found = located(maps, BOX)[0, 0]
    assert found[:2].tolist() == pytest.approx([10 + 8.0, 20 + 2 * 10.5], abs=1e-3)


def test_edges_and_points_outside() -> None:
    points = torch.tensor([[[66.0, 132.0, 2], [66.5, 50, 2], [30, 50, 0], [9.9, 50, 1]]])
    cell, inside = cells(points, BOX)
    assert inside.tolist() == [[True, False, False, False]]
    assert int(cell[0, 0]) == SIDE * SIDE - 1


def test_the_loss_by_hand() -> None:
    """Of three regions the first has two points, the second (of another image) none that is known."""
    chosen = torch.tensor([[True, False], [True, True]])
    regions = Regions(
        boxes=BOX.expand(3, 4),
        image=torch.tensor([0, 1, 1]),
        objects=torch.tensor([0, 0, -1]),
        chosen=chosen,
        positive=torch.tensor([[True, False], [True, False]]),
    )
    points = torch.tensor([[[12.5, 25, 2], [40, 60, 1]], [[0, 0, 0], [0, 0, 0]]])
    logits = torch.zeros(2, 2, SIDE, SIDE, requires_grad=True)
    losses = point_loss(logits, points, regions, regions.hit)
    assert losses.tolist() == pytest.approx([1, 0])
    right, _ = cells(points, BOX.expand(2, 4))
    sure = point_loss(planted(right), points, regions, regions.hit)
    assert float(sure[0]) == pytest.approx(0, abs=1e-6)
    half = point_loss(planted(right, math.log(SIDE * SIDE - 1)), points, regions, regions.hit)
    assert float(half[0]) == pytest.approx(math.log(2) / math.log(SIDE * SIDE), abs=1e-5)
    (gradient,) = torch.autograd.grad(losses.sum(), logits)
    assert not gradient[1].any()
