"""How much better a figure is than that of the task alone."""

from __future__ import annotations

import math

LOWER_IS_BETTER = (
    *("loss", "error", "err", "rel", "mae", "rmse", "mse", "mae_number", "rmse_number", "log10", "angle", "ece"),
    *("seconds", "wait", "flops", "parameters"),
)
"""Endings of the names of metrics of which less is better."""


def direction(metric: str) -> int:
    """1 where more is better, -1 where less is: metrics that end in one of `LOWER_IS_BETTER`."""
    return -1 if metric.lower().endswith(LOWER_IS_BETTER) else 1


def gain(value: float, baseline: float, metric: str, higher: bool | None = None) -> float:
    """How much better `value` is than `baseline`, in percent of it; positive is better. NaN for a baseline of 0.

    Args:
        value: of the metric.
        baseline: of the metric.
        metric: its name.
        higher: whether higher is better; None: as the name says.
    """
    if baseline == 0 or not math.isfinite(value) or not math.isfinite(baseline):
        return math.nan
    sign = direction(metric) if higher is None else 1 if higher else -1
    return sign * (value - baseline) / abs(baseline) * 100
