from __future__ import annotations

import math

import pytest

from vjo_train.diagnosis.gains import direction, gain


def test_a_gain_is_positive_where_it_is_better() -> None:
    assert gain(0.55, 0.5, "map") == pytest.approx(10)
    assert gain(0.45, 0.5, "map") == pytest.approx(-10)
    assert gain(0.45, 0.5, "pixel_error") == pytest.approx(10)
    assert gain(-1.0, -2.0, "log_loss") == pytest.approx(-50), "relative to the size of the baseline"
    assert [direction(name) for name in ("miou", "loss", "angular_error", "map_r50")] == [1, -1, -1, 1]
    assert math.isnan(gain(0.5, 0.0, "map"))
    assert math.isnan(gain(math.nan, 0.5, "map"))
