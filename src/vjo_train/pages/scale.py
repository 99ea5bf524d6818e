"""From values to places on paper: ticks, scales, gaps. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

Point = tuple[float, float]
"""x, y."""

ROUNDING = 1e-9
"""Values that are closer than this share of them count as one."""


@dataclass(frozen=True)
class Scale:
    """Maps [low, high] linearly to [start, end]; where low and high are equal, to the middle."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Where `value` lies."""
        if self.high == self.low:
            return (self.start + self.end) / 2
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def ticks(low: float, high: float, most: int = 6, whole: bool = False) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) of which the first is <= low and the last >= high.

    Args:
        low: the least value; finite.
        high: the greatest, >= low; where the two differ by rounding alone, the ticks lie around them.
        most: about how many ticks there may be (>= 2); the step is the least that keeps within it.
        whole: whether only whole numbers may be ticks, as for epochs.
    """
    if high - low <= ROUNDING * max(abs(low), abs(high)):
        low, high = (low - 0.5, high + 0.5) if whole or low == 0 else (low - abs(low) / 10, high + abs(high) / 10)
    exponent = math.floor(math.log10((high - low) / most))
    steps = [m * 10.0**e for e in range(exponent, exponent + 3) for m in (1, 2, 5)]
    if whole:
        steps = [step for step in steps if step >= 1] or [1.0]
    for step in steps:
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        if last - first < most or step == steps[-1]:
            break
    return [k * step for k in range(first, last + 1)]


def span(values: Iterable[float], near_zero: float = 0.4) -> Point | None:
    """The least and greatest finite value; None where there is none.

    Values of one sign reach to 0 where the one closest to 0 is less than `near_zero` of the farthest, so that an axis
    is cut off only where the curve would be flat otherwise.
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return None
    low, high = min(finite), max(finite)
    if 0 <= low < near_zero * high:
        return 0.0, high
    if near_zero * low < high <= 0:
        return low, 0.0
    return low, high


def tick_text(value: float, step: float) -> str:
    """A tick's label with as many decimals as the step needs; thousands as k, millions as M."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if step >= size / 10 and abs(value) >= size:
            return f"{value / size:g}{unit}"
    if step < 1e-4:
        return f"{value:.1e}" if value else "0"
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    text = f"{value:.{decimals}f}"
    return text.replace("-", "−") if float(text) else f"{0:.{decimals}f}"


def number_text(value: float) -> str:
    """A value as a reader wants it in a tooltip: four significant digits."""
    return f"{value:.4g}".replace("-", "−") if math.isfinite(value) else "–"


def stretches(points: Sequence[Point]) -> list[list[Point]]:
    """Points in order of x, cut where values are missing: those without a finite y, or a step in x that is more than
    one and a half times the usual (least) one.

    So a figure that is taken every fifth epoch is joined, and an epoch in which a task was off is a gap.
    """
    known = [point for point in points if math.isfinite(point[1])]
    steps = [b[0] - a[0] for a, b in pairwise(known)]
    usual = min(steps, default=0.0)
    parts: list[list[Point]] = [[point] for point in known[:1]]
    for point, step in zip(known[1:], steps, strict=True):
        if step > 1.5 * usual:
            parts.append([])
        parts[-1].append(point)
    return parts


def thinned(points: Sequence[Point], most: int = 240) -> list[Point]:
    """At most about `most` points that draw the same curve: of each stretch of x the first, the least, the greatest
    and the last (M4, Jugel et al. 2014). All of them where there are no more than `most`.
    """
    if len(points) <= most:
        return list(points)
    bins = max(1, most // 4)
    kept: list[Point] = []
    for k in range(bins):
        part = points[k * len(points) // bins : (k + 1) * len(points) // bins]
        chosen = {0, len(part) - 1}
        chosen |= {min(range(len(part)), key=lambda i: part[i][1]), max(range(len(part)), key=lambda i: part[i][1])}
        kept += [part[i] for i in sorted(chosen)]
    return kept
