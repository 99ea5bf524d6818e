"""How much better a figure is than that of the task alone."""

from __future__ import annotations

import math

LOWER_IS_BETTER = ("loss", "error")
"""Endings of the names of metrics of which less is better."""


def direction(metric: str) -> int:
    """1 where more is better, -1 where less is: metrics that end in `loss` or `error`."""
    return -1 if metric.lower().endswith(LOWER_IS_BETTER) else 1


def gain(value: float, baseline: float, metric: str) -> float:
    """How much better `value` is than `baseline`, in percent of it; positive is better. NaN for a baseline of 0."""
    if baseline == 0 or not math.isfinite(value) or not math.isfinite(baseline):
        return math.nan
    return direction(metric) * (value - baseline) / abs(baseline) * 100
