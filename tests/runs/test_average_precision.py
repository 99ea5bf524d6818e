"""The curve behind average precision: closed forms, and that its points give the APs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vjo_train.runs.average_precision import average_precision, interpolated_precision, precision_recall


def test_a_ranking_by_hand() -> None:
    """right, wrong, right, of 4: recall 1/4, 1/4, 2/4; precision 1, 1/2, 2/3."""
    hits = np.array([True, False, True])
    recall, precision = precision_recall(hits, 4)
    assert recall.tolist() == [0.25, 0.25, 0.5]
    assert precision.tolist() == pytest.approx([1, 1 / 2, 2 / 3])
    assert interpolated_precision(hits, 4, 4).tolist() == pytest.approx([1, 1, 2 / 3, 0, 0])


def test_a_perfect_ranking_is_flat_and_no_answers_are_nothing() -> None:
    assert interpolated_precision(np.ones(7, bool), 7).tolist() == [1.0] * 101
    assert interpolated_precision(np.zeros(0, bool), 7).tolist() == [0.0] * 101
    assert np.isnan(interpolated_precision(np.zeros(3, bool), 0)).all()


@given(st.lists(st.booleans(), max_size=60), st.integers(0, 20))
def test_the_points_give_the_average_precision(hits: list[bool], missed: int) -> None:
    found, positives = np.array(hits, bool), sum(hits) + missed
    mean = float(interpolated_precision(found, positives, 10).mean())
    expected = average_precision(found, positives, "11point")
    assert math.isnan(mean) if positives == 0 else mean == pytest.approx(expected, abs=1e-12)
    if positives:
        recall, precision = precision_recall(found, positives)
        for k, value in enumerate(interpolated_precision(found, positives, 10)):
            above = precision[recall >= k / 10 - 1e-9]
            assert value == pytest.approx(above.max() if len(above) else 0.0)
