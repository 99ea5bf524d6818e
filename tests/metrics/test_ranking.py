"""The ranking by digits against Python's own sort."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vjo_train.metrics.ranking import ranking

SCORES = st.one_of(
    st.sampled_from([-1.0, -0.0, 0.0, 0.1, 0.5, 1.0, 1e-310, -1e308]),
    st.floats(width=32, allow_nan=False, allow_infinity=False),
    st.floats(allow_nan=False, allow_infinity=False),
)


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 70_000), SCORES, st.integers(0, 3)), max_size=40), st.booleans())
def test_label_then_score_then_arrival_then_place(rows, narrow):
    labels, scores, arrival = (np.array(column) for column in zip(*rows, strict=True)) if rows else np.zeros((3, 0))
    scores = scores.astype(np.float64)
    if narrow:
        with np.errstate(over="ignore"):
            scores = np.nan_to_num(scores.astype(np.float32)).astype(np.float64)
    labels, arrival = labels.astype(np.int64) % 70_000, arrival.astype(np.int64)
    expected = sorted(range(len(rows)), key=lambda n: (labels[n], -scores[n], arrival[n]))
    assert ranking(labels, scores, arrival).tolist() == expected
