"""Line charts: curves over epochs or over recall."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from xml.etree.ElementTree import Element

from vjo_train.pages import svg
from vjo_train.pages.scale import Point, Scale, number_text, span, stretches, thinned, tick_text, ticks

WIDTH, HEIGHT = 380.0, 230.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 10.0, 22.0, 34.0
"""Margins around the plot."""
POINTS = {"bold": 240, "thin": 240, "faint": 80}
"""How many points a line is thinned to."""
MARKED = 40
"""Up to so many points of a line are marked, and can be pointed at."""


@dataclass(frozen=True)
class Line:
    """One curve.

    Attributes:
        name: for the legend and the tooltips.
        points: in order of x; where y is NaN, or x leaps, the line is broken.
        style: the number of its colour.
        kind: `bold`, `thin`, or `faint` in the background, such as one seed behind the mean of all.
    """

    name: str
    points: Sequence[Point]
    style: int = 0
    kind: Literal["bold", "thin", "faint"] = "bold"


def line_chart(
    lines: Sequence[Line],
    title: str,
    *,
    x_label: str,
    y_label: str = "",
    x_range: Point | None = None,
    y_range: Point | None = None,
    whole: bool = False,
) -> str:
    """The curves on common axes, as SVG; empty where no curve has a point.

    Args:
        lines: those that come first lie below.
        title: what a screen reader says.
        x_label: with its unit.
        y_label: with its unit, above the axis.
        x_range: what the axis must hold; None: the points.
        y_range: the same of y.
        whole: whether x are whole numbers, such as epochs.
    """
    points = [point for line in lines for part in stretches(line.points) for point in part]
    if not points:
        return ""
    low, high = x_range or (min(x for x, _ in points), max(x for x, _ in points))
    x_ticks = [tick for tick in ticks(low, high, 7, whole) if low <= tick <= high] or [low]
    x = Scale(low, high, LEFT + 6, WIDTH - RIGHT - 6)
    ends = y_range or span(y for _, y in points)
    assert ends is not None
    y_ticks = ticks(*ends, most=6)
    y = Scale(y_ticks[0], y_ticks[-1], HEIGHT - BOTTOM, TOP)
    picture = svg.canvas(WIDTH, HEIGHT, title)
    _axes(picture, x, x_ticks, y, y_ticks)
    svg.write(picture, (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, x_label, "middle", "label")
    if y_label:
        svg.write(picture, 2, 11, y_label, kind="label")
    for line in lines:
        _draw(picture, line, x, y, x_label, whole)
    return svg.as_text(picture)


def _axes(picture: Element, x: Scale, x_ticks: Sequence[float], y: Scale, y_ticks: Sequence[float]) -> None:
    step = y_ticks[1] - y_ticks[0]
    for tick in y_ticks:
        level = y(tick)
        zero = abs(tick) < step / 1e6
        svg.shape(picture, "line", "axis" if zero else "rule", x1=LEFT, x2=WIDTH - RIGHT, y1=level, y2=level)
        svg.write(picture, LEFT - 6, level + 3.5, tick_text(tick, step), "end", "tick")
    width = x_ticks[1] - x_ticks[0] if len(x_ticks) > 1 else 1.0
    for tick in x_ticks:
        svg.shape(picture, "line", "axis", x1=x(tick), x2=x(tick), y1=y.start, y2=y.start + 4)
        svg.write(picture, x(tick), y.start + 15, tick_text(tick, width), "middle", "tick")
    svg.shape(picture, "line", "axis", x1=LEFT, x2=WIDTH - RIGHT, y1=y.start, y2=y.start)


def _draw(picture: Element, line: Line, x: Scale, y: Scale, x_label: str, whole: bool) -> None:
    parts = stretches(line.points)
    count = sum(map(len, parts))
    kind = f"{svg.series(line.style)} {line.kind}"
    path = "".join(
        "M" + "L".join(f"{svg.number(x(a))} {svg.number(y(b))}" for a, b in thinned(part, POINTS[line.kind]))
        for part in parts
        if len(part) > 1
    )
    if path:
        svg.shape(picture, "path", f"line {kind}", line.name, d=path)
    marked = count <= MARKED and line.kind == "bold"
    for part in parts:
        for a, b in part if marked or len(part) == 1 else ():
            place = f"{x_label} {number_text(a)}" if whole else f"{x_label} {a:.2f}"
            hint = f"{line.name}, {place}: {number_text(b)}"
            svg.shape(picture, "circle", f"dot {kind}", hint, cx=x(a), cy=y(b), r=2.4)
