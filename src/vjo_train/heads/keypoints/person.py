"""COCO's person: what joins its 17 points, and how far apart people put each of them."""

from __future__ import annotations

EDGES = (
    *((15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8)),
    *((7, 9), (8, 10), (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6)),
)
"""Points that drawings join, from 0."""
_PAIRS = (0.025, 0.035, 0.079, 0.072, 0.062, 0.107, 0.087, 0.089)
SIGMAS = (0.026, *(sigma for pair in _PAIRS for sigma in (pair, pair)))
"""[17]: the standard deviation of a point over annotators, by the square root of the object's area (COCO 2017)."""


def edges(points: int) -> list[tuple[int, int]]:
    """Those of objects with so many points: the person's for 17, else none."""
    return list(EDGES) if points == len(SIGMAS) else []


def sigmas(points: int) -> list[float]:
    """Those of objects with so many points: the person's for 17, else 1 / K for each, as Ultralytics has it."""
    return list(SIGMAS) if points == len(SIGMAS) else [1 / points] * points
