"""Thresholds with the greatest F1, and calibration."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import binary_f1_score, multiclass_calibration_error

from vjo_train.metrics.calibration import calibration_error
from vjo_train.metrics.choices import CategoryAccuracy
from vjo_train.metrics.thresholds import f1_scores, f1_thresholds
from vjo_train.runs.records.reliability import reliability


def drawn(seed: int, images: int = 40, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.choice([-1, -1, 0, 1], (images, classes))
    scores = np.clip(0.3 + 0.15 * (labels > 0) + 0.2 * generator.standard_normal((images, classes)), 0, 1)
    return scores.round(2), labels  # rounded, so that some are equal


def test_f1_is_torchmetrics() -> None:
    scores, labels = drawn(0)
    for c, mine in enumerate(f1_scores(scores, labels, 0.4)):
        kept = labels[:, c] != 0
        theirs = binary_f1_score(torch.tensor(scores[kept, c] >= 0.4), torch.tensor(labels[kept, c] > 0))
        assert mine == pytest.approx(float(theirs))


@pytest.mark.parametrize("seed", range(8))
def test_no_threshold_has_a_greater_f1(seed: int) -> None:
    scores, labels = drawn(seed)
    chosen = f1_scores(scores, labels, f1_thresholds(scores, labels))
    others = [f1_scores(scores, labels, t) for t in [*np.unique(scores), 0.0, 1.0, 2.0]]
    assert (chosen >= np.max(others, axis=0) - 1e-12).all()


def test_a_threshold_lies_between_scores_and_near_a_half() -> None:
    scores, labels = np.array([[0.9], [0.8], [0.2], [0.1]]), np.array([[1], [1], [-1], [-1]])
    assert f1_thresholds(scores, labels) == pytest.approx([0.5])
    assert f1_thresholds(scores / 10, labels) == pytest.approx([0.05])
    assert f1_thresholds(scores, -np.abs(labels)) == [0.5], "a class that no image shows"
    assert np.isnan(f1_scores(scores, -np.abs(labels))).all()
    unknown = np.array([[1], [1], [0], [-1]])
    assert f1_thresholds(scores, unknown) == pytest.approx([0.45]), "a label of 0 counts neither way"
    assert f1_thresholds(np.zeros((2, 1)), np.array([[1], [-1]])) == [0.0], "where all scores are equal, all or none"


def test_calibration_of_scores_that_are_frequencies_is_perfect() -> None:
    confidence = np.repeat([0.1, 0.5, 0.9], 10)
    right = np.array([k < 10 * p for p in (0.1, 0.5, 0.9) for k in range(10)])
    assert float(calibration_error(confidence, right)) == pytest.approx(0.0, abs=1e-6)
    assert float(calibration_error(confidence, np.zeros(30, bool))) == pytest.approx(0.5)
    assert np.isnan(float(calibration_error(np.zeros(0), np.zeros(0, bool))))


def test_the_bins_of_the_diagram_give_the_figure() -> None:
    generator = np.random.default_rng(0)
    confidence = generator.random(500)
    right = generator.random(500) < confidence**2
    bins = reliability(confidence, right)
    by_hand = (np.abs(bins.confidence - bins.right) * bins.number).sum() / 500
    assert by_hand == pytest.approx(float(calibration_error(confidence, right)), abs=1e-6)


def test_calibration_of_one_class_per_image_is_torchmetrics() -> None:
    generator = torch.Generator().manual_seed(0)
    probabilities = (3 * torch.randn(60, 4, generator=generator)).softmax(1)
    truth = torch.randint(0, 4, (60,), generator=generator)
    metric = CategoryAccuracy(4)
    for one, label in itertools.zip_longest(probabilities, truth.tolist()):
        metric.update(one, label)
    theirs = multiclass_calibration_error(probabilities, truth, num_classes=4, n_bins=15)
    assert float(metric.compute()["ece"]) == pytest.approx(float(theirs), abs=1e-5)
    records = metric.records()
    assert records.confidence == pytest.approx(probabilities.amax(1).numpy())
