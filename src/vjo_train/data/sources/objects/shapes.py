"""From the shapes of drawing tools to outlines."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vjo_train.data.sources.objects.records import Thing
from vjo_train.errors import DataError

CORNERS = 72
"""Of the polygon that stands for an ellipse."""


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


def pixels(mask: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """COCO's run lengths, as a list, of a mask [H, W]."""
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(np.diff(flat)) + 1
    ends = np.concatenate([[0], changes, [flat.size]])
    counts = np.diff(ends).tolist()
    return {"size": list(mask.shape), "counts": [0, *counts] if flat.size and flat[0] else counts}


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
