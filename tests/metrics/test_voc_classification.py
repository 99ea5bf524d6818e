"""VOC classification AP: hand-made cases and a literal second implementation."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metrics.literal import literal_classification
from vjo_train.metrics.voc import VOCClassificationAP

torch.set_num_threads(1)


def evaluate(scores, labels, batch=2, **kwargs):
    scores, labels = torch.as_tensor(scores, dtype=torch.float32), torch.as_tensor(labels)
    metric = VOCClassificationAP(scores.shape[1], **kwargs)
    for start in range(0, len(scores), batch):
        metric.update(scores[start : start + batch], labels[start : start + batch])
    return metric.compute()


def column(values):
    return [[value] for value in values]


def test_perfect_and_worst():
    assert evaluate(column([0.9, 0.8, 0.1]), column([1, 1, -1]))["map"].item() == pytest.approx(1, abs=1e-12)
    worst = evaluate(column([0.9, 0.8, 0.1]), column([-1, -1, 1]))
    assert worst["map"].item() == pytest.approx(1 / 3, abs=1e-12)


def test_zero_counts_neither_way():
    result = evaluate(column([0.9, 0.8, 0.7, 0.1]), column([0, 1, 0, -1]))
    assert result["map"].item() == pytest.approx(1, abs=1e-12)


def test_the_two_interpolations():
    scores, labels = column([0.9, 0.8, 0.7]), column([1, -1, 1])
    assert evaluate(scores, labels)["map"].item() == pytest.approx((6 + 5 * 2 / 3) / 11, abs=1e-12)
    area = evaluate(scores, labels, interpolation="area")["map"].item()
    assert area == pytest.approx((1 + 2 / 3) / 2, abs=1e-12)


@pytest.mark.parametrize("found", [3, 6, 7])
def test_recalls_of_exactly_three_six_and_seven_tenths_are_reached(found):
    """The first `found` of 10 positives come first, then 90 wrong answers, then the other positives."""
    labels = [1] * found + [-1] * 90 + [1] * (10 - found)
    scores = np.linspace(1, 0, 100)
    tail = [(found + m) / (90 + found + m) for m in range(1, 11 - found)]
    expected = (found + 1 + sum(max(tail[m:]) for m in range(len(tail)))) / 11
    assert evaluate(column(scores), column(labels), batch=30)["map"].item() == pytest.approx(expected, abs=1e-12)


def test_equal_scores_keep_the_order_of_arrival():
    same = column([0.5, 0.5])
    assert evaluate(same, column([1, -1]), batch=1)["map"].item() == pytest.approx(1, abs=1e-12)
    assert evaluate(same, column([-1, 1]), batch=1)["map"].item() == pytest.approx(1 / 2, abs=1e-12)


def test_a_class_without_positives_is_left_out_of_the_mean():
    result = evaluate([[0.9, 0.9, 0.2], [0.1, 0.1, 0.1]], [[1, -1, 0], [-1, -1, 0]])
    assert result["ap"].isnan().tolist() == [False, True, True]
    assert result["map"].item() == pytest.approx(1, abs=1e-12)
    assert math.isnan(evaluate([[0.5]], [[-1]])["map"].item())


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.sampled_from([1, 0, -1])), min_size=1, max_size=25),
    st.integers(1, 7),
)
def test_agrees_with_the_literal_protocol(answers, batch):
    scores, labels = zip(*answers, strict=True)
    for interpolation in ("11point", "area"):
        result = evaluate(column(scores), column(labels), batch, interpolation=interpolation)
        expected = literal_classification(scores, labels, interpolation)
        np.testing.assert_allclose(result["ap"].numpy(), [expected], rtol=0, atol=1e-12)


@settings(max_examples=30)
@given(st.permutations(range(12)), st.integers(1, 5))
def test_without_equal_scores_the_order_is_without_effect(order, batch):
    generator = torch.Generator().manual_seed(3)
    scores = torch.rand(12, 2, generator=generator)
    labels = torch.randint(-1, 2, (12, 2), generator=generator)
    before, after = evaluate(scores, labels), evaluate(scores[list(order)], labels[list(order)], batch)
    torch.testing.assert_close(after["ap"], before["ap"], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        (torch.tensor([[0.5, math.nan]]), torch.tensor([[1, 0]]), "`scores` should be finite. Found nan"),
        (torch.tensor([[1, 2]]), torch.tensor([[1, 0]]), "`scores` should be floating point. Found torch.int64"),
        (torch.rand(1, 3), torch.tensor([[1, 0]]), r"`scores` should have the shape \[images, 2\]. Found \[1, 3\]"),
        (torch.rand(2), torch.tensor([[1, 0]]), r"`scores` should have the shape \[images, 2\]. Found \[2\]"),
        (torch.rand(1, 2), torch.tensor([1, 0]), r"`labels` should have the shape \[images, 2\]. Found \[2\]"),
        (torch.rand(2, 2), torch.tensor([[1, 0]]), "as many images. Found 2, 1"),
        (torch.rand(1, 2), torch.tensor([[1, 2]]), "`labels` should be 1, 0 or -1. Found 2"),
        (torch.rand(1, 2), torch.tensor([[1.0, 0.0]]), "`labels` should be integer: 1, 0 or -1. Found torch.float32"),
        (torch.rand(1, 2), torch.tensor([[True, False]]), "Found torch.bool"),
        ([[0.5, 0.5]], torch.tensor([[1, 0]]), "`scores` should be a tensor. Found list"),
    ],
)
def test_inputs_of_another_form_are_refused(scores, labels, message):
    metric = VOCClassificationAP(2)
    with pytest.raises(ValueError, match=message):
        metric.update(scores, labels)
