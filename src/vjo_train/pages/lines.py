"""Line charts: curves over epochs or over recall."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from xml.etree.ElementTree import Element

from vjo_train.pages import svg
from vjo_train.pages.axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, draw_axes, marks
from vjo_train.pages.scale import Point, Scale, number_text, span, stretches, thinned, ticks

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
    draw_axes(picture, x, marks(x_ticks), y, y_ticks, x_label, y_label)
    for line in lines:
        _draw(picture, line, x, y, x_label, whole)
    return svg.as_text(picture)


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
