"""Which way a figure is better. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

ERRORS = {
    *("loss", "abs_rel", "abs_err", "rmse", "log10", "mean_angle", "median_angle", "ece"),
    *("seconds", "wall_seconds", "test_seconds", "data_wait", "parameters"),
}
"""Last parts of the names of figures that are better the lower they are."""


def higher_is_better(name: str, reported: Mapping[str, bool] | None = None) -> bool:
    """Whether a figure is better the higher it is.

    Args:
        name: such as `val/depth/abs_rel`.
        reported: what heads say of their own, `<task>/<metric>` -> whether higher is better, with a stage or without;
            it comes first.
    """
    bare = name.partition("/")[2] if name.partition("/")[0] in ("train", "val", "test") else name
    said = {**{key.removeprefix("test/"): up for key, up in (reported or {}).items()}}
    return said.get(bare, bare.rpartition("/")[2] not in ERRORS)


def best(values: Iterable[float], higher: bool) -> float:
    """The best of the finite values; NaN where there is none."""
    finite = [value for value in values if math.isfinite(value)]
    return (max if higher else min)(finite) if finite else math.nan
