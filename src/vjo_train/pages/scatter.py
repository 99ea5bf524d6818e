"""Scatter charts: a dot for each of two figures that belong together, on a linear, a logarithmic or a named axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vjo_train.pages import svg
from vjo_train.pages.axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Mark, draw_axes, marks
from vjo_train.pages.scale import Scale, span, ticks

ROOM = 14.0
"""Between the first and last dots and the ends of the axis."""
LETTER = 6.0
"""Width of a letter."""


@dataclass(frozen=True)
class Dot:
    """A point.

    Attributes:
        x: where, finite.
        y: how high, finite.
        hint: shown when it is pointed at.
        style: the number of its colour.
        label: written beside it.
    """

    x: float
    y: float
    hint: str
    style: int = 0
    label: str = ""


@dataclass(frozen=True)
class Axis:
    """How x is shown: by round numbers, by powers of ten (`log`; x > 0), or by names, the k-th of which is x = k."""

    log: bool = False
    names: Sequence[str] = ()


LINEAR = Axis()


def scatter_chart(dots: Sequence[Dot], title: str, *, x_label: str, y_label: str = "", axis: Axis = LINEAR) -> str:
    """The dots, as SVG; empty without dots.

    Args:
        dots: those that come first lie below.
        title: what a screen reader says.
        x_label: below the axis.
        y_label: above the axis.
        axis: of x.
    """
    if not dots:
        return ""
    places = [math.log10(dot.x) if axis.log else dot.x for dot in dots]
    low, high = (-0.5, len(axis.names) - 0.5) if axis.names else (min(places), max(places))
    x = Scale(low, high, LEFT + ROOM, WIDTH - RIGHT - ROOM)
    ends = span(dot.y for dot in dots)
    assert ends is not None
    y_ticks = ticks(*ends, most=6)
    y = Scale(y_ticks[0], y_ticks[-1], HEIGHT - BOTTOM, TOP)
    picture = svg.canvas(WIDTH, HEIGHT, title)
    draw_axes(picture, x, _marks(axis, low, high), y, y_ticks, x_label, y_label)
    for dot, place in zip(dots, places, strict=True):
        cx, cy = x(place), y(dot.y)
        svg.shape(picture, "circle", f"dot {svg.series(dot.style)}", dot.hint, cx=cx, cy=cy, r=4)
        if dot.label:
            left = cx > WIDTH - RIGHT - LETTER * (len(dot.label) + 1)
            svg.write(picture, cx - 7 if left else cx + 7, cy - 5, dot.label, "end" if left else "start", "name")
    return svg.as_text(picture)


def _marks(axis: Axis, low: float, high: float) -> list[Mark]:
    if axis.names:
        letters = int((WIDTH - LEFT - RIGHT) / len(axis.names) / LETTER)
        return [(float(k), svg.shortened(name, max(1, letters))) for k, name in enumerate(axis.names)]
    if axis.log:
        return _decades(low, high)
    inside = [tick for tick in ticks(low, high, 7) if low <= tick <= high]
    return marks(inside) if len(inside) > 1 else [(low, f"{low:.3g}")]


def _decades(low: float, high: float) -> list[Mark]:
    """Powers of ten, where these are fewer than two also 2 and 5 times them, else the ends."""
    powers = range(math.floor(low), math.ceil(high) + 1)
    for factors in ((1,), (1, 2, 5)):
        found = [(math.log10(m * 10.0**e), f"{m * 10.0**e:g}") for e in powers for m in factors]
        inside = [mark for mark in found if low <= mark[0] <= high]
        if len(inside) > 1:
            return inside
    return [(place, f"{10**place:.2g}") for place in dict.fromkeys((low, high))]
