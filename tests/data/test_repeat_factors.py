"""How often images of rare classes come."""

from __future__ import annotations

import numpy as np
import pytest

from vjo_train.data.repeat_factors import repeat_factors
from vjo_train.data.rounds import Stream


def test_factors_by_hand() -> None:
    shown = np.array([[0, 0], [1, 0], [2, 0], [3, 0], [0, 1], [5, 2], [5, 0]])  # of 8 images: 5/8, 1/8 and 1/8
    found = repeat_factors(shown, 9, 8, 0.5)
    assert found == pytest.approx([2, 1, 1, 1, 1, 2, 1, 1, 1])
    assert repeat_factors(shown[:0], 3, 3, 0.5).tolist() == [1, 1, 1]
    assert repeat_factors(shown, 9, 8, 1e-3).tolist() == [1.0] * 9


def test_a_rare_class_comes_as_often_as_its_factor_says() -> None:
    shown = np.stack([np.arange(100), (np.arange(100) < 4).astype(np.int64)], 1)  # 4 of 100 images show class 1
    factors = repeat_factors(shown, 100, 100, 0.16)
    stream = Stream("pool/a", np.arange(100), 3, factors)
    rare = sum(stream[position].image < 4 for position in range(20_000)) / 20_000
    assert rare == pytest.approx(4 * 2 / (4 * 2 + 96), rel=0.05)
