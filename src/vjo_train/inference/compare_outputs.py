"""How far the outputs of one program are from those of another; numpy only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Arrays: TypeAlias = Mapping[str, npt.NDArray[Any]]

ODD = 0.01
"""The share of objects that need not be in both. Where a score or an overlap is within rounding of a threshold, either
answer is right, and an object may come, go or make way for its neighbour."""


def difference(wanted: npt.NDArray[Any], found: npt.NDArray[Any]) -> float:
    """The greatest absolute difference of two arrays, by the largest finite magnitude wanted or 1, if that is more.

    Places where both are equal, infinities included, do not differ; NaN differs from everything.
    """
    if wanted.shape != found.shape:
        return math.inf
    unequal = wanted != found
    if not unequal.any():
        return 0.0
    scale = max(1.0, float(np.abs(wanted[np.isfinite(wanted)]).max(initial=0.0)))
    greatest = float(np.abs(wanted[unequal] - found[unequal]).max())
    return math.inf if math.isnan(greatest) else greatest / scale


def map_difference(wanted: npt.NDArray[np.uint8], found: npt.NDArray[np.uint8]) -> float:
    """The share of pixels of two maps of classes that are unequal."""
    return float((wanted != found).mean()) if wanted.shape == found.shape else math.inf


def object_difference(wanted: Arrays, found: Arrays) -> float:
    """How far objects are from their nearest counterparts of the same image and class; all but `ODD` of them count.

    The distance of two objects is the greatest of the differences of their scores, of their boxes' coordinates, by the
    largest one of the image or 1, of their masks' cells, and of their points' places by that and how sure they are.

    Args:
        wanted: `labels` [B, N], -1 for none, `scores` [B, N], `boxes` [B, N, 4] and, where there are any, `masks`
            [B, N, m, m] and `keypoints` [B, N, K, 3].
        found: the same; N may differ.
    """
    distances = []
    for k in range(len(wanted["labels"])):
        one, other = ({name: a[k][each["labels"][k] >= 0] for name, a in each.items()} for each in (wanted, found))
        table = _distances(one, other)
        distances += [*table.min(axis=1, initial=math.inf), *table.min(axis=0, initial=math.inf)]
    counted = sorted(distances)[: len(distances) - int(ODD * len(distances))]
    return counted[-1] if counted else 0.0


def _distances(one: Arrays, other: Arrays) -> npt.NDArray[np.float64]:
    """[N, M] between objects of one image; infinite between classes."""
    scale = max(1.0, float(np.abs(one["boxes"]).max(initial=0.0)))
    parts = [_between(one["boxes"], other["boxes"]) / scale, _between(one["scores"], other["scores"])]
    if "masks" in one:
        parts.append(_between(one["masks"], other["masks"]))
    if "keypoints" in one:
        by = np.array([scale, scale, 1.0])
        parts.append(_between(one["keypoints"] / by, other["keypoints"] / by))
    same = one["labels"][:, None] == other["labels"][None]
    return np.where(same, np.max(parts, axis=0), math.inf)


def _between(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """[N, ...] and [M, ...] -> [N, M]: the greatest difference of two rows."""
    rows, columns = (part.reshape(len(part), math.prod(part.shape[1:])) for part in (one, other))
    table = np.abs(rows[:, None] - columns[None]).max(axis=2, initial=0.0).astype(np.float64)
    return np.where(np.isnan(table), math.inf, table)
