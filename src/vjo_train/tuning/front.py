"""The Pareto front of trials with several metrics: which are on it, and a picture."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from html import escape

from vjo_train.runs.directions import gains

SIDE, MARGIN = 320, 64
"""Of a panel's frame, and around it, in pixels."""


def dominated(values: Sequence[Sequence[float]]) -> list[bool]:
    """Whether another row is at least as high everywhere and higher somewhere."""

    def beats(a: Sequence[float], b: Sequence[float]) -> bool:
        return all(x >= y for x, y in zip(a, b, strict=True)) and any(x > y for x, y in zip(a, b, strict=True))

    return [any(beats(other, row) for other in values) for row in values]


def scatter(trials: Sequence[tuple[int, Sequence[float]]], metrics: Sequence[str]) -> str:
    """An SVG with a panel for each pair of metrics: every trial as a dot, those on the front with their number.

    Args:
        trials: number and values of each finished trial.
        metrics: the names of the values.
    """
    on_front = [not lost for lost in dominated([gains(values, metrics) for _, values in trials])]
    pairs = list(itertools.combinations(range(len(metrics)), 2))
    panel = SIDE + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{panel * len(pairs)}" height="{panel}" '
        f'viewBox="0 0 {panel * len(pairs)} {panel}" font-family="sans-serif" font-size="12">',
        f'<rect width="{panel * len(pairs)}" height="{panel}" fill="white"/>',
    ]
    for place, (x, y) in enumerate(pairs):
        points = [
            (number, values[x], values[y], front) for (number, values), front in zip(trials, on_front, strict=True)
        ]
        parts.append(f'<g transform="translate({place * panel + MARGIN},{MARGIN})">')
        parts += _panel(points, metrics[x], metrics[y])
        parts.append("</g>")
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(points: Sequence[tuple[int, float, float, bool]], across: str, up: str) -> list[str]:
    left, width = _span([x for _, x, _, _ in points])
    low, height = _span([y for _, _, y, _ in points])

    def at(x: float, y: float) -> tuple[float, float]:
        return SIDE * (x - left) / width, SIDE * (1 - (y - low) / height)

    lines = [f'<rect width="{SIDE}" height="{SIDE}" fill="none" stroke="#999"/>']
    for share in (0.0, 0.5, 1.0):
        lines.append(
            f'<text x="{SIDE * share:.1f}" y="{SIDE + 16}" text-anchor="middle">{left + share * width:.3g}</text>'
        )
        lines.append(
            f'<text x="-6" y="{SIDE * (1 - share) + 4:.1f}" text-anchor="end">{low + share * height:.3g}</text>'
        )
    lines.append(f'<text x="{SIDE / 2}" y="{SIDE + 36}" text-anchor="middle">{escape(across)}</text>')
    lines.append(f'<text transform="translate(-44,{SIDE / 2}) rotate(-90)" text-anchor="middle">{escape(up)}</text>')
    for number, x, y, front in sorted(points, key=lambda point: point[3]):
        cx, cy = at(x, y)
        lines.append(
            f'<circle cx="{cx:.1f}" cy="{cy:.1f}" r="{5 if front else 3.5}" fill="{"#c03030" if front else "#bbb"}">'
            f"<title>trial {number}: {escape(across)} {x:.4g}, {escape(up)} {y:.4g}</title></circle>"
        )
        if front:
            lines.append(f'<text x="{cx + 7:.1f}" y="{cy - 6:.1f}" fill="#c03030">{number}</text>')
    return lines


def _span(values: Sequence[float]) -> tuple[float, float]:
    """Where an axis begins, and its length: a little more than the values take up."""
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    room = 0.08 * (high - low) or 0.05
    return low - room, high - low + 2 * room
