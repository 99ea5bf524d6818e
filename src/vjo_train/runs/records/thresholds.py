"""Records of yes and no by pixel."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from vjo_train.runs.records.base import Doubles, Figures, Integers, Records


@dataclass(frozen=True)
class Thresholds(Records):
    """Edges and saliency: how many pixels every image has in each step of the probability.

    Attributes:
        counts: [I, 2, T + 1]: pixels that are truly no, and yes, from threshold k / T on and below the next one.
        near: of edges, [I, 3, T + 1]: predicted pixels that are wrong and right with a tolerance, and true ones by the
            highest threshold at which they are found; [0, 3, 1] of others.
    """

    kind: ClassVar[str] = "thresholds"
    measure: ClassVar[str] = "the image's own best F1 (0 to 1)"
    counts: Integers
    near: Integers = field(default_factory=lambda: np.zeros((0, 3, 1), np.int32))

    def resampled(self, draws: Integers) -> Figures:
        """`f_max` and `iou`; of edges `ods_f` and `ois_f` too."""
        _, no_yes, steps = self.counts.shape
        sums = draws.astype(np.float64) @ self.counts.reshape(len(self.counts), -1).astype(np.float64)
        sums = sums.reshape(-1, no_yes, steps)
        f1, iou = _f1(sums), _iou(sums)
        figures = {"f_max": f1.max(axis=1), "iou": iou}
        if len(self.near):
            drawn, near = draws.astype(np.float64), self.near.astype(np.float64)
            figures |= {"ods_f": best_of_set(drawn, near), "ois_f": best_of_images(drawn, near)}
        return figures

    def quality(self) -> Doubles:
        best: Doubles = _f1(self.counts.astype(np.float64)).max(axis=1)
        return best

    def contents(self) -> Doubles:
        """Pixels that are truly a yes."""
        pixels: Doubles = self.counts[:, 1].sum(axis=1).astype(np.float64)
        return pixels


def best_of_set(draws: Doubles, near: Doubles) -> Doubles:
    """[R] the best F1 over one threshold, with a tolerance; see `Thresholds.near`."""
    sums = (draws @ near.reshape(len(near), -1)).reshape(-1, *near.shape[1:])
    best: Doubles = _near_f1(_at_or_above(sums))[:, :-1].max(axis=1)
    return best


def best_of_images(draws: Doubles, near: Doubles) -> Doubles:
    """[R] the same, where every image has the threshold that is best for it."""
    steps = _at_or_above(near)
    best = np.nan_to_num(_near_f1(steps)[:, :-1], nan=-1.0).argmax(axis=1)
    chosen = np.stack([steps[np.arange(len(near)), part, best] for part in range(3)], axis=1)
    totals = np.concatenate([chosen, steps[:, 2, :1]], axis=1)
    f1: Doubles = _f1_of(*(draws @ totals).T)
    return f1


def _at_or_above(counts: Doubles) -> Doubles:
    return counts[..., ::-1].cumsum(axis=-1)[..., ::-1]


def _near_f1(steps: Doubles) -> Doubles:
    """[R, 3, T + 1] counts at or above each threshold -> [R, T + 1]."""
    return _f1_of(steps[:, 0], steps[:, 1], steps[:, 2], steps[:, 2, :1])


def _f1_of(wrong: Doubles, right: Doubles, found: Doubles, positives: Doubles) -> Doubles:
    """The harmonic mean of right / (right + wrong) and found / positives; NaN where all are 0."""
    precision = right / np.maximum(right + wrong, 1)
    recall = found / np.maximum(positives, 1)
    total = precision + recall
    none = (right + wrong == 0) & (positives == 0)
    f1: Doubles = np.where(none, np.nan, 2 * precision * recall / np.where(total > 0, total, 1))
    return f1


def _above(counts: Doubles) -> tuple[Doubles, Doubles]:
    """[R, T + 1] wrong and right pixels at or above each threshold."""
    sums = counts[..., ::-1].cumsum(axis=-1)[..., ::-1]
    return sums[:, 0], sums[:, 1]


def _f1(counts: Doubles) -> Doubles:
    """[R, T]; NaN where no pixel is a yes, neither in the truth nor in the prediction."""
    wrong, right = _above(counts)
    total = right + wrong + right[:, :1]
    f1: Doubles = np.where(total > 0, 2 * right / np.maximum(total, 1), np.nan)[:, :-1]
    return f1


def _iou(counts: Doubles) -> Doubles:
    """[R] of the pixels from a half on."""
    wrong, right = _above(counts)
    half = (counts.shape[-1] - 1) // 2
    union = wrong[:, half] + right[:, 0]
    iou: Doubles = np.where(union > 0, right[:, half] / np.maximum(union, 1), np.nan)
    return iou
