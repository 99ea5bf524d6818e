"""Figures and small tables as text. Imports no torch."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence


def figure(value: float, digits: int) -> str:
    """A number of fixed digits; a dash where it is undefined."""
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def spread(values: Sequence[float], digits: int = 4) -> str:
    """`0.8123 ± 0.0045`: mean and sample deviation; of a single value no deviation, a dash where one is undefined."""
    if not values or not all(math.isfinite(value) for value in values):
        return "-"
    mean = figure(statistics.fmean(values), digits)
    return f"{mean} ± {figure(statistics.stdev(values), digits)}" if len(values) > 1 else mean


def nanmean(values: Iterable[float]) -> float:
    """The mean of what is defined; NaN if nothing is."""
    finite = [v for v in values if math.isfinite(v)]
    return sum(finite) / len(finite) if finite else math.nan


def count_text(number: int) -> str:
    """`0`, `812`, `4.61 k`, `11.18 M`."""
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:.2f} {unit}"
    return str(number)


def duration(seconds: float) -> str:
    """`40 s`, `12 min`, `1 h 40 min`; a dash where it is undefined."""
    if not math.isfinite(seconds):
        return "-"
    if seconds < 90:
        return f"{round(seconds)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)
