"""Which way a figure is better. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from vjo_train.diagnosis.gains import direction


def higher_is_better(name: str, reported: Mapping[str, bool] | None = None) -> bool:
    """Whether a figure is better the higher it is.

    Args:
        name: such as `val/depth/abs_rel`.
        reported: what heads say of their own, `<task>/<metric>` -> whether higher is better, with a stage or without;
            it comes before what the name says.
    """
    bare = name.partition("/")[2] if name.partition("/")[0] in ("train", "val", "test") else name
    said = {**{key.removeprefix("test/"): up for key, up in (reported or {}).items()}}
    return said.get(bare, direction(bare) > 0)


def gains(values: Iterable[float], names: Iterable[str]) -> list[float]:
    """Values of figures, signed such that more is better."""
    return [value if higher_is_better(name) else -value for value, name in zip(values, names, strict=True)]


def best(values: Iterable[float], higher: bool) -> float:
    """The best of the finite values; NaN where there is none."""
    finite = [value for value in values if math.isfinite(value)]
    return (max if higher else min)(finite) if finite else math.nan
