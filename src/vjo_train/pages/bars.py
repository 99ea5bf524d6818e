"""Horizontal bars, bars to both sides of zero, and means with their intervals: one row for each name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from vjo_train.pages import svg
from vjo_train.pages.scale import Scale, number_text, tick_text, ticks

WIDTH = 380.0
ROW = 19.0
NAMES, VALUES = 112.0, 54.0
"""Room for the names at the left and for the values at the right."""
TOP, BOTTOM = 4.0, 34.0
LETTERS = 15
"""Letters of a name that fit; the whole name is in the tooltip."""


@dataclass(frozen=True)
class Bar:
    """One row: a value, with the bounds of its interval where they are known, and its text at the right."""

    name: str
    value: float
    text: str
    low: float = math.nan
    high: float = math.nan
    style: int = 0

    @property
    def hint(self) -> str:
        """The tooltip."""
        return f"{self.name}: {self.text}"


def bar_chart(bars: Sequence[Bar], title: str, *, unit: str, most: float | None = None) -> str:
    """Bars from 0, as SVG; a value that is not known has no bar. Empty without bars.

    Args:
        bars: from top to bottom; values are >= 0 or NaN.
        title: what a screen reader says.
        unit: below the axis.
        most: the end of the axis; None: what the values need.
    """
    if not bars:
        return ""
    high = most or max((bar.value for bar in bars if math.isfinite(bar.value)), default=1.0) or 1.0
    picture, x = _frame(len(bars), 0.0, high, title, unit)
    for row, bar in enumerate(bars):
        middle = _row(picture, row, bar)
        if math.isfinite(bar.value):
            _rectangle(picture, bar, x, middle, svg.series(bar.style))
    return svg.as_text(picture)


def diverging_chart(bars: Sequence[Bar], title: str, *, unit: str, reach: float | None = None) -> str:
    """Bars to the right of 0 for gains and to the left for losses, as SVG. Empty without bars.

    Args:
        bars: from top to bottom; NaN has no bar.
        title: what a screen reader says.
        unit: below the axis.
        reach: the axis goes from -reach to reach; None: what the values need.
    """
    if not bars:
        return ""
    far = reach or max((abs(bar.value) for bar in bars if math.isfinite(bar.value)), default=1.0) or 1.0
    picture, x = _frame(len(bars), -far, far, title, unit)
    for row, bar in enumerate(bars):
        middle = _row(picture, row, bar)
        if math.isfinite(bar.value):
            _rectangle(picture, bar, x, middle, "gain" if bar.value >= 0 else "loss")
    return svg.as_text(picture)


def interval_chart(bars: Sequence[Bar], title: str, *, unit: str) -> str:
    """Means as points with their intervals as lines, around 0, as SVG. Empty without bars."""
    if not bars:
        return ""
    known = [v for bar in bars for v in (bar.value, bar.low, bar.high) if math.isfinite(v)]
    picture, x = _frame(len(bars), min([0.0, *known]), max([0.0, *known]) if any(known) else 1.0, title, unit)
    for row, bar in enumerate(bars):
        middle = _row(picture, row, bar)
        kind = svg.series(bar.style)
        if math.isfinite(bar.low) and math.isfinite(bar.high):
            low, high = x(bar.low), x(bar.high)
            svg.shape(picture, "line", f"span {kind}", bar.hint, x1=low, x2=high, y1=middle, y2=middle)
            for end in (low, high):
                svg.shape(picture, "line", f"span {kind}", x1=end, x2=end, y1=middle - 4, y2=middle + 4)
        if math.isfinite(bar.value):
            svg.shape(picture, "circle", f"mean {kind}", bar.hint, cx=x(bar.value), cy=middle, r=4)
    return svg.as_text(picture)


def _frame(rows: int, low: float, high: float, title: str, unit: str) -> tuple[Element, Scale]:
    """The picture with its axis, and the scale of the values."""
    marks = ticks(low, high, most=6)
    end = TOP + rows * ROW + 3
    picture = svg.canvas(WIDTH, end + BOTTOM - 3, title)
    x = Scale(marks[0], marks[-1], NAMES + 8, WIDTH - VALUES - 8)
    step = marks[1] - marks[0]
    for mark in marks:
        kind = "axis" if abs(mark) < step / 1e6 else "rule"
        svg.shape(picture, "line", kind, x1=x(mark), x2=x(mark), y1=TOP, y2=end)
        svg.write(picture, x(mark), end + 12, tick_text(mark, step), "middle", "tick")
    svg.write(picture, (x.start + x.end) / 2, end + 27, unit, "middle", "label")
    return picture, x


def _row(picture: Element, row: int, bar: Bar) -> float:
    """Writes the name and the value; returns the height of the row's middle."""
    middle = TOP + (row + 0.5) * ROW
    name = svg.write(picture, NAMES, middle + 4, svg.shortened(bar.name, LETTERS), "end", "name")
    svg.shape(name, "title").text = bar.hint
    svg.write(picture, WIDTH - 2, middle + 4, bar.text, "end", "value")
    return middle


def _rectangle(picture: Element, bar: Bar, x: Scale, middle: float, kind: str) -> None:
    start, end = sorted((x(0), x(bar.value)))
    height = ROW - 7
    svg.shape(
        picture,
        "rect",
        f"bar {kind}",
        bar.hint,
        x=start,
        y=middle - height / 2,
        width=max(1.0, end - start),
        height=height,
        rx=1.5,
    )


def signed(value: float, digits: int = 1) -> str:
    """`+1.2`, or a dash where nothing is known."""
    return f"{value:+.{digits}f}".replace("-", "−") if math.isfinite(value) else number_text(value)
