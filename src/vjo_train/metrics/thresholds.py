"""Scores from which on a class is said to be there: chosen for the greatest F1, and what F1 they give."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Doubles = npt.NDArray[np.float64]
Labels = npt.NDArray[np.integer]
HALF = 0.5


def f1_thresholds(scores: Floats, labels: Labels) -> Doubles:
    """[C] the threshold of each class with the greatest F1 = 2 TP / (2 TP + FP + FN) on some images.

    A threshold lies in the middle between two scores that follow each other, so that images a little off these are told
    alike; of equally good ones, it is the nearest to 0.5. A class that no image shows keeps 0.5.

    Args:
        scores: [I, C] in 0..1.
        labels: [I, C]: 1 present, -1 absent, 0 counts neither way.
    """
    return np.array([_best(scores[:, c], labels[:, c]) for c in range(scores.shape[1])])


def f1_scores(scores: Floats, labels: Labels, thresholds: Floats | float = HALF) -> Doubles:
    """[C] F1 of each class where it is said to be there from a threshold on; NaN for classes that no image shows.

    Args:
        scores: [I, C].
        labels: [I, C]: 1 present, -1 absent, 0 counts neither way.
        thresholds: [C], or one for all.
    """
    said, there = scores >= thresholds, labels > 0
    right = (said & there).sum(axis=0).astype(np.float64)
    total = (said & (labels != 0)).sum(axis=0) + there.sum(axis=0)
    return np.where(there.any(axis=0), 2 * right / np.maximum(total, 1), np.nan)


def _best(scores: Floats, labels: Labels) -> float:
    counted = labels != 0
    order = np.argsort(-scores[counted], kind="stable")
    ranked, hits = scores[counted][order].astype(np.float64), (labels[counted] > 0)[order]
    if not hits.any():
        return HALF
    f1 = 2 * np.cumsum(hits) / (np.arange(1, len(hits) + 1) + hits.sum())
    below = np.append(ranked[1:], 0.0)
    ends = np.flatnonzero(ranked > below)  # equal scores are on the same side; below a score of 0 there is nothing
    middles = (ranked[ends] + below[ends]) / 2
    if not len(ends):
        return 0.0
    best = np.flatnonzero(f1[ends] == f1[ends].max())
    return float(middles[best[np.argmin(np.abs(middles[best] - HALF))]])
