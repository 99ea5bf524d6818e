"""From the shapes of drawing tools to outlines."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vjo_train.data.sources.objects.records import Thing
from vjo_train.errors import DataError

Box = tuple[float, float, float, float]
"""Continuous xyxy."""
CORNERS = 72
"""Of the polygon that stands for an ellipse."""
STEPS = 8
"""Of the line that stands for a Bezier curve."""


def ellipse(x: float, y: float, across: float, down: float, turned: float = 0.0) -> list[float]:
    """The polygon [x, y, ...] of an ellipse.

    Args:
        x: of its centre.
        y: of its centre.
        across: half its width before it is turned.
        down: half its height.
        turned: by how much, in radians, from x towards y.
    """
    angles = np.arange(CORNERS) * 2 * math.pi / CORNERS
    u, v = across * np.cos(angles), down * np.sin(angles)
    points = np.stack(
        [x + u * math.cos(turned) - v * math.sin(turned), y + u * math.sin(turned) + v * math.cos(turned)]
    )
    corners: list[float] = points.T.ravel().tolist()
    return corners


def finite(value: Any) -> float:
    """A number.

    Raises:
        TypeError, ValueError, OverflowError: it is none, or not finite.
    """
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(value)
    return number


def of_corners(values: Iterable[Any]) -> Box:
    """The box of x1, y1, x2, y2.

    Raises:
        TypeError, ValueError, OverflowError: these are not four finite numbers.
    """
    x1, y1, x2, y2 = map(finite, values)
    return x1, y1, x2, y2


def of_sides(values: Iterable[Any], first: int = 0) -> Box:
    """The box of x, y, width, height; raises as `of_corners`.

    Args:
        values: the four numbers.
        first: the number of the first row and column of pixels: 0, or 1 as in Matlab.
    """
    x, y, width, height = map(finite, values)
    return x - first, y - first, x - first + width, y - first + height


def size_of(height: Any, width: Any) -> tuple[int, int] | None:
    """(height, width), where both are whole numbers; None for others."""
    return (height, width) if type(height) is type(width) is int else None


def curved(points: Sequence[tuple[float, float]], types: str) -> list[float]:
    """The polygon [x, y, ...] of an outline with Bezier curves, as Scalabel draws it.

    Args:
        points: its corners, and between two of them the two points that steer a cubic curve from one to the other.
        types: of each point, `L` for a corner or `C` for one that steers; other than two of these are corners.

    Raises:
        ValueError: there are not as many types as points, or points are not finite.
    """
    if len(types) != len(points) or not all(math.isfinite(side) for point in points for side in point):
        raise ValueError(points)
    corners: list[float] = []
    place = 0
    while place < len(points):
        if 0 < place < len(points) - 1 and re.fullmatch("LCCL?", types[place - 1 : place + 3]):
            steering = np.array([points[place - 1], *points[place : place + 2], points[(place + 2) % len(points)]])
            t = np.arange(1, STEPS)[:, None] / STEPS
            weights = np.concatenate([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3], axis=1)
            corners += (weights @ steering).ravel().tolist()
            place += 2
        else:
            corners += points[place]
            place += 1
    return corners


def pixels(mask: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """COCO's run lengths, as a list, of a mask [H, W]."""
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(np.diff(flat)) + 1
    ends = np.concatenate([[0], changes, [flat.size]])
    counts = np.diff(ends).tolist()
    return {"size": list(mask.shape), "counts": [0, *counts] if flat.size and flat[0] else counts}


def pasted(own: npt.NDArray[np.bool_], left: int, top: int, size: tuple[int, int]) -> dict[str, Any]:
    """COCO's run lengths of a small mask [h, w] in a picture of `size` (height, width); what leaves it is cut."""
    whole = np.zeros(size, np.bool_)
    part = whole[max(top, 0) : top + own.shape[0], max(left, 0) : left + own.shape[1]]
    part |= own[max(-top, 0) :, max(-left, 0) :][: part.shape[0], : part.shape[1]]
    return pixels(whole)


def bounds(mask: npt.NDArray[np.bool_]) -> tuple[float, float, float, float]:
    """Xyxy around the pixels of a mask [H, W].

    Raises:
        ValueError: it has none.
    """
    rows, columns = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
    if not len(rows):
        raise ValueError("an empty mask")
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def around(points: Iterable[Sequence[float]]) -> tuple[float, float, float, float]:
    """Xyxy around points (x, y)."""
    across, down = zip(*points, strict=True)
    return min(across), min(down), max(across), max(down)


def joined(things: Iterable[tuple[Any, Thing]]) -> list[Thing]:
    """Objects of which those with the same number (not None) and class are parts of one: it has all their polygons.

    Parts without polygons stay alone.
    """
    found: list[Thing] = []
    first: dict[Any, int] = {}
    for group, thing in things:
        key = (str(group), thing.name)
        whole = isinstance(thing.outline, list) and thing.box is None
        if group is not None and whole and key in first:
            own = found[first[key]]
            found[first[key]] = own._replace(outline=[*own.outline, *thing.outline])
        else:
            if group is not None and whole:
                first[key] = len(found)
            found.append(thing)
    return found


def read_json(file: Path) -> Any:
    """What a JSON file holds.

    Raises:
        DataError: it cannot be read, or is no JSON.
    """
    try:
        return json.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}); must be a JSON file.") from error
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise DataError(f"{file}: no JSON ({str(error)[:80]}).") from error
