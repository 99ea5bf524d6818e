"""The rows of a label file: one object each, in shares of the picture's width and height."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vjo_train.data.labels.keypoints import mirrored
from vjo_train.errors import DataError

ROUNDING = 1e-3
"""By how much a number may leave 0..1."""
_MIRRORED = (2, 4, 5, 7)
"""EXIF orientations whose stored pixels are a mirror image of what is shown."""


@dataclass(frozen=True)
class Row:
    """One object."""

    number: int
    """Of its class."""
    box: tuple[float, float, float, float]
    """xyxy in 0..1."""
    polygon: npt.NDArray[np.float64] | None
    """[P, 2] in 0..1, or None where there is only a box."""
    points: npt.NDArray[np.float64] | None = None
    """[K, 3]: x, y, and 0 unknown, 1 hidden, 2 visible; None where the row has no key points."""


def read_rows(
    path: Path, names: Mapping[int, str], points: tuple[int, int] | None
) -> tuple[list[Row], list[tuple[str, str]]]:
    """The objects of a picture; none where the file is empty or missing.

    Rows that are there twice are read once, and rows without area are left out.

    Args:
        path: the file: `class cx cy w h`, `class x1 y1 x2 y2 x3 y3 ...`, or `class cx cy w h` and key points.
        names: class number -> name.
        points: key points behind each box, and numbers of each, 2 or 3; None for none. With 2, a point at 0 0 is
            unknown, and others are visible.

    Returns:
        The rows, and what was changed: (kind, what).

    Raises:
        DataError: no text, or a row with a wrong number of columns, an unknown class, or a number outside 0..1.
    """
    rows: dict[str, Row] = {}
    notes: list[tuple[str, str]] = []
    for number, line in enumerate(_lines(path), 1):
        text = " ".join(line.split())
        if not text:
            continue
        if text in rows:
            notes.append(("duplicate row", f"line {number}: {text[:60]}"))
            continue
        row = _row(text.split(), f"{path}: line {number}", names, points)
        if row.box[2] > row.box[0] and row.box[3] > row.box[1]:
            rows[text] = row
        else:
            notes.append(("row without area", f"line {number}: {text[:60]}"))
    return list(rows.values()), notes


def as_stored(row: Row, orientation: int, swap: Sequence[int] | None) -> Row:
    """A row of the picture as it is shown, for the pixels as they are stored.

    Args:
        row: of the upright picture.
        orientation: of the picture file, by EXIF, 1..8.
        swap: see `Layout.swap`; some orientations mirror the picture.
    """
    if orientation == 1:
        return row
    ends = _stored(np.asarray(row.box).reshape(2, 2), orientation)
    (x1, y1), (x2, y2) = ends.min(axis=0).tolist(), ends.max(axis=0).tolist()
    polygon = None if row.polygon is None else _stored(row.polygon, orientation)
    points = row.points
    if points is not None:
        points = np.concatenate([_stored(points[:, :2], orientation), points[:, 2:]], axis=1)
        if orientation in _MIRRORED:
            points = mirrored(points, None if swap is None else np.array(swap))
    return Row(row.number, (x1, y1, x2, y2), polygon, points)


def _stored(points: npt.NDArray[np.float64], orientation: int) -> npt.NDArray[np.float64]:
    """[P, 2] in 0..1 of the upright picture -> in 0..1 of the stored one."""
    x, y = points.T
    across, down = (y, x) if orientation >= 5 else (x, y)
    across = 1 - across if orientation in (2, 3, 7, 8) else across
    down = 1 - down if orientation in (3, 4, 6, 7) else down
    return np.stack([across, down], axis=1)


def _row(columns: list[str], where: str, names: Mapping[int, str], points: tuple[int, int] | None) -> Row:
    count, keypoints = len(columns), points[0] * points[1] if points else 0
    if not (count == 5 + keypoints or count == 5 or (not keypoints and count >= 7 and count % 2)):
        allowed = f"or {5 + keypoints}, with key points" if keypoints else "or 7, 9, 11 ..., a class and a polygon"
        raise DataError(f"{where}: found {count} columns; must be 5, a class and a box, {allowed}.")
    label = _number(columns[0], where)
    if label not in names:
        last = f"{min(names)}..{max(names)}"
        raise DataError(f"{where}: found the class {columns[0][:20]}; names has the numbers {last}.")
    values = [_share(text, where) for text in columns[1 : 5 if keypoints else count]]
    if len(values) > 4:
        corners = np.asarray(values).reshape(-1, 2)
        (x1, y1), (x2, y2) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
        return Row(int(label), (x1, y1, x2, y2), corners)
    x, y, width, height = values
    low, high = (x - width / 2, y - height / 2), (x + width / 2, y + height / 2)
    box = (max(low[0], 0.0), max(low[1], 0.0), min(high[0], 1.0), min(high[1], 1.0))
    return Row(int(label), box, None, _points(columns[5:], where, points) if points and count > 5 else None)


def _points(columns: list[str], where: str, shape: tuple[int, int]) -> npt.NDArray[np.float64]:
    """[K, 3]; what lies outside the picture is left to the kind of label."""
    found = np.array([_number(text, where) for text in columns]).reshape(shape)
    known = found[:, 2] if shape[1] == 3 else 2.0 * (found != 0).any(axis=1)
    if not np.isin(known, (0, 1, 2)).all():
        odd = next(value for value in known.tolist() if value not in (0, 1, 2))
        raise DataError(f"{where}: found the visibility {odd:g} of a point; must be 0, 1 or 2.")
    return np.concatenate([found[:, :2], known[:, None]], axis=1)


def _share(text: str, where: str) -> float:
    value = _number(text, where)
    if not -ROUNDING <= value <= 1 + ROUNDING:
        raise DataError(f"{where}: found {text[:20]}; must be in 0..1, a share of the picture's width or height.")
    return min(max(value, 0.0), 1.0)


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{where}: found {text[:20]!r}; must be a number.")
    return value


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); must be a text file.") from error
