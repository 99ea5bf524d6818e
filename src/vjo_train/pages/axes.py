"""The frame of a chart: both axes with their marks."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from vjo_train.pages import svg
from vjo_train.pages.scale import Scale, tick_text

WIDTH, HEIGHT = 380.0, 230.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 10.0, 22.0, 34.0
"""Margins around the plot."""

Mark = tuple[float, str]
"""A place on an axis and what stands there."""


def marks(ticks: Sequence[float]) -> list[Mark]:
    """Ticks of one distance with their numbers."""
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    return [(tick, tick_text(tick, step)) for tick in ticks]


def draw_axes(
    picture: Element, x: Scale, x_marks: Sequence[Mark], y: Scale, y_ticks: Sequence[float], x_label: str, y_label: str
) -> None:
    """A rule for each of `y_ticks` (at least two), marks below, and the labels: of x below them, of y at the top."""
    step = y_ticks[1] - y_ticks[0]
    for tick, text in marks(y_ticks):
        level = y(tick)
        zero = abs(tick) < step / 1e6
        svg.shape(picture, "line", "axis" if zero else "rule", x1=LEFT, x2=WIDTH - RIGHT, y1=level, y2=level)
        svg.write(picture, LEFT - 6, level + 3.5, text, "end", "tick")
    for place, text in x_marks:
        svg.shape(picture, "line", "axis", x1=x(place), x2=x(place), y1=y.start, y2=y.start + 4)
        svg.write(picture, x(place), y.start + 15, text, "middle", "tick")
    svg.shape(picture, "line", "axis", x1=LEFT, x2=WIDTH - RIGHT, y1=y.start, y2=y.start)
    svg.write(picture, (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, x_label, "middle", "label")
    if y_label:
        svg.write(picture, 2, 11, y_label, kind="label")
