"""Ticks, scales and gaps."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vjo_train.pages.scale import Scale, span, stretches, thinned, tick_text, ticks

NAN = math.nan
VALUES = st.floats(-1e6, 1e6).filter(lambda value: value == 0 or abs(value) > 1e-6)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.13, 0.87, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (-3.2, 4, [-4, -2, 0, 2, 4]),
        (0, 31, [0, 10, 20, 30, 40]),
        (1200, 1300, [1200, 1220, 1240, 1260, 1280, 1300]),
    ],
)
def test_ticks(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


@given(VALUES, VALUES, st.integers(2, 12), st.booleans())
def test_ticks_enclose_the_values_at_equal_round_steps(a: float, b: float, most: int, whole: bool) -> None:
    low, high = sorted((a, b))
    marks = ticks(low, high, most, whole)
    steps = [two - one for one, two in pairwise(marks)]
    step = steps[0]
    assert all(one == pytest.approx(step, rel=1e-6) for one in steps)
    assert marks[0] <= low + step * 1e-6
    assert marks[-1] >= high - step * 1e-6
    assert 2 <= len(marks) <= most + 2
    mantissa = step / 10 ** math.floor(math.log10(step) + 1e-9)
    assert min(abs(mantissa - m) for m in (1, 2, 5)) < 1e-6
    if whole:
        assert all(mark == round(mark) for mark in marks)


def test_ticks_of_one_value_lie_around_it() -> None:
    assert min(ticks(0.5, 0.5)) < 0.5 < max(ticks(0.5, 0.5))
    assert ticks(3, 3, whole=True) == [2, 3, 4]
    assert min(ticks(0, 0)) < 0 < max(ticks(0, 0))
    assert ticks(2.0, math.nextafter(2.0, 3.0)) == pytest.approx(ticks(2.0, 2.0)), "equal but for rounding"


@pytest.mark.parametrize(
    ("value", "step", "text"),
    [(0.2, 0.2, "0.2"), (-0.25, 0.05, "−0.25"), (2, 1, "2"), (0, 0.001, "0.000"), (-0.0, 0.5, "0.0"),
     (12000, 2000, "12k"), (1500, 500, "1.5k"), (2e6, 1e6, "2M"), (1200, 20, "1200"), (3e-5, 1e-5, "3.0e-05")],
)  # fmt: skip
def test_tick_text(value: float, step: float, text: str) -> None:
    assert tick_text(value, step) == text


def test_a_scale_is_linear_and_may_point_down() -> None:
    scale = Scale(2, 4, 100, 20)
    assert [scale(2), scale(3), scale(4)] == [100, 60, 20]
    assert Scale(1, 1, 0, 10)(1) == 5


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0.3, 0.9], (0, 0.9)), ([0.8, 0.9], (0.8, 0.9)), ([-9, -1], (-9, 0)), ([-9, -8], (-9, -8)), ([-1, 2], (-1, 2)),
     ([NAN, 5, math.inf], (5, 5)), ([NAN], None)],
)  # fmt: skip
def test_axes_start_at_zero_unless_the_curve_would_be_flat(values: list[float], expected: object) -> None:
    assert span(values) == expected


def test_a_figure_taken_every_fifth_epoch_is_joined_and_a_missing_one_is_a_gap() -> None:
    sparse = [(x, float(x) if x % 5 == 0 else NAN) for x in range(1, 31)]
    assert len(stretches(sparse)) == 1
    hole = [(x, NAN if x in (3, 6) else 1.0) for x in range(1, 9)]
    assert [[x for x, _ in part] for part in stretches(hole)] == [[1, 2], [4, 5], [7, 8]]
    assert stretches([(1, NAN)]) == []
    assert stretches([(1, 2.0)]) == [[(1, 2.0)]]


def test_thinning_keeps_ends_and_extremes() -> None:
    points = [(float(x), math.sin(x / 50)) for x in range(1000)]
    points[617] = (617.0, 9.0)
    points[333] = (333.0, -9.0)
    kept = thinned(points, 100)
    assert len(kept) <= 100
    assert kept == sorted(kept)
    assert {points[0], points[-1], points[617], points[333]} <= set(kept)
    assert thinned(points[:100], 100) == points[:100]
