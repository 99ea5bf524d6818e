"""Outlines against a second implementation."""

from __future__ import annotations

import numpy as np
import pytest

from vjo_train.data.sources.polygons import filled


def inside(points: np.ndarray, x: float, y: float) -> bool:
    """Whether a ray from (x, y) to the left crosses an odd number of edges."""
    odd = False
    for (x1, y1), (x2, y2) in zip(points, np.roll(points, -1, axis=0), strict=True):
        if (y1 <= y) != (y2 <= y) and x1 + (y - y1) / (y2 - y1) * (x2 - x1) <= x:
            odd = not odd
    return odd


@pytest.mark.parametrize("seed", range(10))
def test_a_pixel_is_in_where_its_centre_is(seed):
    points = np.random.default_rng(seed).uniform(-4, 18, (7, 2))
    expected = [[inside(points, x + 0.5, y + 0.5) for x in range(15)] for y in range(11)]
    np.testing.assert_array_equal(filled(points, (11, 15)), expected)


def test_polygons_that_share_an_edge_share_no_pixel_and_leave_none():
    left, right = np.array([[0, 0], [7.5, 0], [2, 10], [0, 10]]), np.array([[7.5, 0], [12, 0], [12, 10], [2, 10]])
    both = [filled(points, (10, 12)) for points in (left, right)]
    assert (both[0] ^ both[1]).all()


def test_no_corners_and_a_line_fill_nothing():
    assert not filled(np.zeros((0, 2)), (4, 5)).any()
    assert not filled(np.array([[0.0, 0.0], [4.0, 4.0]]), (4, 5)).any()
