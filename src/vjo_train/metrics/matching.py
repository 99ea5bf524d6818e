"""Which ground truth each detection asks for."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

PAIRS_AT_ONCE = 1 << 21
"""How many overlaps are held in memory together (about 100 bytes each)."""


def inclusive_iou(first: Floats, second: Floats) -> Floats:
    """IoU of boxes [N, 4] with boxes [N, 4], pair by pair, as xyxy in inclusive pixels: a width is x2 - x1 + 1.

    On whole pixels every area is exact in float64, and so is the comparison of the result with a threshold such as
    0.5 or 0.7: the quotient of two integers is rounded correctly, as the threshold itself was.
    """
    width = np.minimum(first[:, 2], second[:, 2]) - np.maximum(first[:, 0], second[:, 0]) + 1
    height = np.minimum(first[:, 3], second[:, 3]) - np.maximum(first[:, 1], second[:, 1]) + 1
    common = width * height
    apart = (width <= 0) | (height <= 0)
    iou: Floats = np.divide(common, _areas(first) + _areas(second) - common, out=np.zeros_like(common), where=~apart)
    return iou


def _areas(boxes: Floats) -> Floats:
    areas: Floats = (boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1)
    return areas


def best_objects(boxes: Floats, groups: Integers, objects: Floats, object_groups: Integers) -> tuple[Floats, Integers]:
    """For each detection the object of its group (image and class) with the greatest IoU, the first of equals.

    Objects are candidates whether difficult or taken: that is how the devkit chooses.

    Args:
        boxes: [N, 4] detections in inclusive pixels; float32 too.
        groups: [N] small numbers from 0, equal for the same image and class.
        objects: [M, 4] ground truth.
        object_groups: [M] likewise.

    Returns:
        IoUs [N], and indices [N] into `objects`; 0 and -1 where the group has no object.
    """
    iou, best = np.zeros(len(boxes)), np.full(len(boxes), -1, dtype=np.int64)
    if not len(objects):
        return iou, best
    by_group = np.argsort(object_groups, kind="stable")
    counts = np.bincount(object_groups, minlength=1 + groups.max(initial=0))
    starts = np.cumsum(counts) - counts
    asking = np.flatnonzero((counts > 0)[groups])
    for rows in _chunks(asking, counts[groups[asking]]):
        start, number = starts[groups[rows]], counts[groups[rows]]
        ends = np.cumsum(number)
        place = np.arange(ends[-1]) - np.repeat(ends - number, number)  # 0, 1 .. among a detection's candidates
        candidates = by_group[np.repeat(start, number) + place]
        asking_boxes = boxes[np.repeat(rows, number)].astype(np.float64, copy=False)
        overlaps = inclusive_iou(asking_boxes, objects[candidates])
        iou[rows] = np.maximum.reduceat(overlaps, ends - number)
        first = np.where(overlaps == np.repeat(iou[rows], number), place, ends[-1])
        best[rows] = by_group[start + np.minimum.reduceat(first, ends - number)]
    return iou, best


def _chunks(rows: Integers, counts: Integers) -> Iterator[Integers]:
    """Cuts `rows` so that each part has about `PAIRS_AT_ONCE` candidates, where each row has `counts` of them."""
    chunk = np.cumsum(counts) // PAIRS_AT_ONCE
    yield from (part for part in np.split(rows, np.flatnonzero(np.diff(chunk)) + 1) if len(part))


def judge(iou: Floats, best: Integers, difficult: Flags, threshold: float, order: Integers) -> tuple[Flags, Flags]:
    """Which detections are right, and which count at all (those that ask for a difficult object do not).

    An object goes to the first detection that asks for it and overlaps enough; later ones are false positives.

    Args:
        iou: [N] overlaps.
        best: [N] the objects asked for, indices into `difficult`, or -1.
        difficult: [M] per object.
        threshold: the least IoU that is enough, above 0.
        order: [N] the detections, those of a class in order of score; that of the answers.
    """
    enough = np.flatnonzero((iou >= threshold) & (best >= 0))
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    hits, counted = np.zeros(len(iou), dtype=np.bool_), np.ones(len(iou), dtype=np.bool_)
    ignored = difficult[best[enough]]
    counted[place[enough[ignored]]] = False
    claims = enough[~ignored]
    claims = claims[np.argsort(place[claims])]
    hits[place[claims[np.unique(best[claims], return_index=True)[1]]]] = True
    return hits, counted
