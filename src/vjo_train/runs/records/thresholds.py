"""Records of yes and no by pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from vjo_train.runs.records.base import Doubles, Figures, Integers, Records


@dataclass(frozen=True)
class Thresholds(Records):
    """Edges and saliency: how many pixels every image has in each step of the probability.

    Attributes:
        counts: [I, 2, T + 1]: pixels that are truly no, and yes, from threshold k / T on and below the next one.
    """

    kind: ClassVar[str] = "thresholds"
    measure: ClassVar[str] = "the image's own best F1 (0 to 1)"
    counts: Integers

    def resampled(self, draws: Integers) -> Figures:
        """`f_max` and `iou`."""
        _, no_yes, steps = self.counts.shape
        sums = draws.astype(np.float64) @ self.counts.reshape(len(self.counts), -1).astype(np.float64)
        sums = sums.reshape(-1, no_yes, steps)
        f1, iou = _f1(sums), _iou(sums)
        return {"f_max": f1.max(axis=1), "iou": iou}

    def quality(self) -> Doubles:
        best: Doubles = _f1(self.counts.astype(np.float64)).max(axis=1)
        return best

    def contents(self) -> Doubles:
        """Pixels that are truly a yes."""
        pixels: Doubles = self.counts[:, 1].sum(axis=1).astype(np.float64)
        return pixels


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
