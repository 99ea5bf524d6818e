"""Intervals for the mean of gains: pure functions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Interval:
    """A mean and where it lies, with all three in the same unit; NaN where a bound is not known."""

    mean: float
    low: float = math.nan
    high: float = math.nan

    @property
    def known(self) -> bool:
        """Whether there are bounds."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def verdict(self) -> str:
        """`better`, `worse`, or `no clear difference` where the interval holds 0 or is not known."""
        if not self.known or self.low <= 0 <= self.high:
            return "no clear difference"
        return "better" if self.low > 0 else "worse"


def delta_weights(counted: Mapping[str, Sequence[str]], pooled: bool = False) -> dict[str, float]:
    """What each figure's gain weighs in delta_m.

    The mean over tasks of the mean over a task's metrics: Maninis, Radosavovic, Kokkinos 2019, "Attentive
    Single-Tasking of Multiple Tasks", equation 4, for one metric each; Lin, Zhang 2023, "LibMTL", for several. Liu et
    al. 2021 (CAGrad), Navon et al. 2022 (Nash-MTL) and Liu et al. 2023 (FAMO) pool the metrics of all tasks, and give
    the loss, which is minus the gain.

    Args:
        counted: task -> its metrics; at least one task, and at least one metric of each.
        pooled: all metrics weigh the same, so that a task with more of them weighs more.

    Returns:
        `<task>/<metric>` -> weight; they sum to 1.
    """
    total = sum(map(len, counted.values()))
    return {
        f"{task}/{metric}": 1 / (total if pooled else len(counted) * len(metrics))
        for task, metrics in counted.items()
        for metric in metrics
    }


def student_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """The mean of independent values with its t interval (Student 1908); of fewer than two values, no bounds.

    Args:
        values: such as the difference of a pair of runs, one for each seed.
        level: how often such intervals hold the true mean (0..1), where values are normally distributed.
    """
    mean = fmean(values) if values else math.nan
    if len(values) < 2 or not math.isfinite(mean):
        return Interval(mean)
    half = student_quantile(level, len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return Interval(mean, mean - half, mean + half)


def student_quantile(level: float, freedom: int) -> float:
    """The t below which |t| lies with probability `level` (0 < level < 1) at `freedom` >= 1 degrees of freedom."""
    low, high = 0.0, math.pi / 2
    for _ in range(100):  # bisection in the angle, where the whole line is finite
        middle = (low + high) / 2
        low, high = (middle, high) if _student_probability(middle, freedom) < level else (low, middle)
    return math.sqrt(freedom) * math.tan((low + high) / 2)


def _student_probability(angle: float, freedom: int) -> float:
    """P(|t| < sqrt(freedom) tan(angle)), by the finite series of Abramowitz & Stegun 26.7.3 and 26.7.4."""
    square = math.cos(angle) ** 2
    term, total = 1.0, 0.0
    for k in range(freedom % 2, freedom - 1, 2):
        total += term
        term *= square * (k + 1) / (k + 2)
    if freedom % 2 == 0:
        return math.sin(angle) * total
    return 2 / math.pi * (angle + math.sin(angle) * math.cos(angle) * total)


def percentile_interval(mean: float, resampled: npt.NDArray[np.float64], level: float = 0.95) -> Interval:
    """A value with the bounds between which the share `level` of its bootstrap values [R] lies.

    The percentile method (Efron & Tibshirani 1993, chapter 13). No bounds where a value is undefined.
    """
    if not len(resampled) or not np.isfinite(resampled).all():
        return Interval(mean)
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return Interval(mean, float(low), float(high))


def draw_images(images: int, resamples: int, seed: int = 0) -> npt.NDArray[np.int64]:
    """[R, I] how often each of `images` is drawn when as many are drawn with replacement, `resamples` times."""
    generator = np.random.default_rng([seed, *b"bootstrap"])
    return generator.multinomial(images, np.full(images, 1 / images), size=resamples)
