from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from vjo_train.comparison.delta import (
    Interval,
    draw_images,
    percentile_interval,
    student_interval,
    student_quantile,
)


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 9, 30, 101])
@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.999])
def test_the_t_quantile_is_that_of_scipy(freedom: int, level: float) -> None:
    assert student_quantile(level, freedom) == pytest.approx(stats.t.ppf((1 + level) / 2, freedom), rel=1e-9)


def test_the_t_interval_is_that_of_scipy() -> None:
    values = [1.5, -0.25, 3.0, 2.0]
    low, high = stats.t.interval(0.9, 3, loc=np.mean(values), scale=stats.sem(values))
    found = student_interval(values, 0.9)
    assert (found.mean, found.low, found.high) == pytest.approx((1.5625, low, high))
    assert student_interval([2.0]) == pytest.approx(Interval(2.0), nan_ok=True) or not student_interval([2.0]).known


def test_verdicts() -> None:
    assert Interval(1, 0.5, 1.5).verdict == "better"
    assert Interval(-1, -1.5, -0.5).verdict == "worse"
    assert Interval(1, -0.5, 2.5).verdict == "no clear difference"
    assert Interval(1).verdict == "no clear difference"


def test_percentiles() -> None:
    found = percentile_interval(7.0, np.arange(101.0), 0.9)
    assert (found.mean, found.low, found.high) == pytest.approx((7, 5, 95))
    assert not percentile_interval(7.0, np.array([1.0, math.nan])).known


def test_draws_are_as_many_images_as_there_are_and_the_same_each_time() -> None:
    draws = draw_images(11, 300)
    assert (draws.sum(axis=1) == 11).all()
    assert np.abs(draws.mean(axis=0) - 1).max() < 0.3
    np.testing.assert_array_equal(draws, draw_images(11, 300))
