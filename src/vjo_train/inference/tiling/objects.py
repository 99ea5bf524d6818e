"""Objects of windows that overlap, as objects of the whole picture: each once, and whole where a window saw it so.

Boxes whose edge lies on an edge of their window inside the picture may be pieces of larger objects.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

NEAR, SHARE = 2.0, 0.05
"""Pixels from the edge of a window within which a box counts as cut by it; or a share of its own side, if that is
more."""
TRUST = 0.5
"""A whole box stands for a piece in it only if its score is at least so much of the piece's; two pieces are joined only
if the lower of their scores is so much of the higher one."""
ALIKE = 0.7
"""IoU of two pieces, where both their windows look, above which they may be pieces of one object."""
_ROWS = 64
"""Boxes that are compared with others at once."""


@dataclass(frozen=True)
class Found:
    """N boxes that windows gave."""

    boxes: Floats
    """[N, 4] xyxy in the picture's pixels."""
    scores: Floats
    """[N]."""
    labels: Integers
    """[N]."""
    view: Integers
    """[N]: which window gave it."""
    cut: Flags
    """[N]: it may be a piece of something."""
    seen: Floats
    """[N, 4]: the window, xyxy."""


def is_cut(boxes: Floats, seen: Floats, size: tuple[int, int]) -> Flags:
    """Which boxes end at an edge of their window that is not one of the picture.

    Args:
        boxes: [N, 4].
        seen: [N, 4], their windows.
        size: (height, width) of the picture.
    """
    height, width = size
    picture = np.array([0.0, 0.0, width, height])
    sides = boxes[:, [2, 3]] - boxes[:, [0, 1]]
    near = np.maximum(NEAR, SHARE * np.concatenate([sides, sides], axis=1))
    flags: Flags = ((np.abs(boxes - seen) <= near) & (seen != picture)).any(axis=1)
    return flags


def groups(found: Found, nms_threshold: float) -> list[Integers]:
    """The boxes that are left, each with the pieces that it is made of, best score first.

    Of boxes of one class from different windows, in this order:
    1. a piece is dropped that a whole box covers by more than half; of a box that its window cannot hold, it must look
       like what that shows of it;
    2. two pieces that look alike where both windows look are joined, if each is the surest such one for the other;
    3. of two boxes with more IoU than `nms_threshold` the better one stays. So it does where one of them is a piece, or
       was joined of pieces, and they have more than half of the smaller one in common.
    Boxes of one window are left as its own suppression left them.

    Args:
        found: all boxes.
        nms_threshold: as in a detection head.

    Returns:
        The places of the pieces of each object; the first of them has the best score.
    """
    first, second = (np.concatenate(parts) for parts in zip(*_pairs(found), strict=True))
    left = ~_explained(found, first, second)
    parts = _joined(found, first, second, left)
    return _suppressed(found, parts, nms_threshold)


def _explained(found: Found, first: Integers, second: Integers) -> Flags:
    """[N]: pieces that are seen whole by another window."""
    out = np.zeros(len(found.scores), bool)
    for piece, whole in ((first, second), (second, first)):
        chosen = found.cut[piece] & ~found.cut[whole]
        piece, whole = piece[chosen], whole[chosen]
        inside = _common(found.boxes[piece], found.boxes[whole]) > 0.5 * _area(found.boxes[piece])
        inside &= _fits(found, piece, whole)
        sure = found.scores[whole] >= TRUST * found.scores[piece]
        out[piece[inside & sure]] = True
    return out


def _fits(found: Found, piece: Integers, whole: Integers) -> Flags:
    """Whether boxes look like what their windows show of others, where these are too long for a window."""
    seen, boxes = found.seen[piece], found.boxes[whole]
    long = ((boxes[:, 2:] - boxes[:, :2]) > (seen[:, 2:] - seen[:, :2])).any(axis=1)
    fits: Flags = ~long | (_overlap(found.boxes[piece], _clipped(boxes, seen)) > 0.5)
    return fits


def _joined(found: Found, first: Integers, second: Integers, left: Flags) -> list[Integers]:
    """The boxes that are left, in groups of pieces of one object."""
    leader = np.arange(len(left))

    def lead(place: int) -> int:
        while leader[place] != place:
            leader[place] = leader[leader[place]]
            place = int(leader[place])
        return place

    for a, b in _partners(found, *_alike(found, first, second, left)):
        leader[lead(a)] = lead(b)
    by_leader: dict[int, list[int]] = {}
    order = np.argsort(-found.scores, kind="stable")
    for place in order[left[order]].tolist():
        by_leader.setdefault(lead(place), []).append(place)
    return [np.array(places) for places in by_leader.values()]


def _alike(found: Found, first: Integers, second: Integers, left: Flags) -> tuple[Integers, Integers]:
    """Pairs of pieces that may be of one object."""
    chosen = found.cut[first] & found.cut[second] & left[first] & left[second]
    one, other = first[chosen], second[chosen]
    both = _clipped(found.seen[one], found.seen[other])
    near = _overlap(_clipped(found.boxes[one], both), _clipped(found.boxes[other], both)) > ALIKE
    scores = found.scores[one], found.scores[other]
    near &= np.minimum(*scores) >= TRUST * np.maximum(*scores)
    return one[near], other[near]


def _partners(found: Found, one: Integers, other: Integers) -> list[tuple[int, int]]:
    """The pairs in which each is the surest that the other has in its window."""
    pairs = list(zip(one.tolist(), other.tolist(), strict=True))
    best: dict[tuple[int, int], int] = {}
    for mine, theirs in [*pairs, *((b, a) for a, b in pairs)]:
        key = mine, int(found.view[theirs])
        if key not in best or found.scores[theirs] > found.scores[best[key]]:
            best[key] = theirs
    return [(a, b) for a, b in pairs if best[a, int(found.view[b])] == b and best[b, int(found.view[a])] == a]


def _suppressed(found: Found, parts: list[Integers], threshold: float) -> list[Integers]:
    """Those of the groups that stay; `parts` are ordered by their best scores."""
    best = np.array([own[0] for own in parts], np.int64)
    boxes = np.array([union(found.boxes[own]) for own in parts]).reshape(-1, 4)
    alone = np.array([len(own) == 1 for own in parts], bool)
    merged = Found(
        boxes=boxes,
        scores=found.scores[best],
        labels=found.labels[best],
        view=np.where(alone, found.view[best], -1 - np.arange(len(parts))),
        cut=found.cut[best],
        seen=np.array([union(found.seen[own]) for own in parts]).reshape(-1, 4),
    )
    worse: dict[int, list[int]] = {}
    for first, second in _pairs(merged):
        one, other = boxes[first], boxes[second]
        common, smaller = _common(one, other), np.minimum(_area(one), _area(other))
        same = _overlap(one, other) > threshold
        piece = merged.cut[first] | merged.cut[second]
        same |= piece & (common > 0.5 * smaller) & _fits(merged, first, second) & _fits(merged, second, first)
        for a, b in np.sort(np.stack([first[same], second[same]], axis=1), axis=1).tolist():
            worse.setdefault(a, []).append(b)
    kept = np.ones(len(parts), bool)
    for place in range(len(parts)):
        if kept[place]:
            kept[worse.get(place, [])] = False
    return [own for own, stays in zip(parts, kept, strict=True) if stays]


def _pairs(found: Found) -> Iterator[tuple[Integers, Integers]]:
    """Boxes of one class and different windows that have pixels in common, as pairs of places; some at a time."""
    nothing = np.empty(0, np.int64)
    yield nothing, nothing
    order = np.argsort(found.boxes[:, 0], kind="stable")
    lefts, boxes = found.boxes[order, 0], found.boxes[order]
    labels, view = found.labels[order], found.view[order]
    for start in range(0, len(order), _ROWS):
        rows = slice(start, min(start + _ROWS, len(order)))
        stop = int(np.searchsorted(lefts, boxes[rows, 2].max()))
        if stop <= start:
            continue
        columns = slice(start, stop)
        close = _common(boxes[rows, None], boxes[None, columns]) > 0
        close &= labels[rows, None] == labels[None, columns]
        close &= view[rows, None] != view[None, columns]
        first, second = np.nonzero(np.triu(close, 1))
        yield order[first + start], order[second + start]


def union(boxes: Floats) -> Floats:
    """[N, 4] -> [4]: the least box around all."""
    return np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])


def _area(boxes: Floats) -> Floats:
    sides = np.maximum(boxes[..., 2:] - boxes[..., :2], 0)
    area: Floats = sides[..., 0] * sides[..., 1]
    return area


def _clipped(one: Floats, other: Floats) -> Floats:
    """What two boxes have in common; no area where that is nothing."""
    corners = np.maximum(one[..., :2], other[..., :2]), np.minimum(one[..., 2:], other[..., 2:])
    return np.concatenate(corners, axis=-1)


def _common(one: Floats, other: Floats) -> Floats:
    return _area(_clipped(one, other))


def _overlap(one: Floats, other: Floats) -> Floats:
    """IoU; 0 where both have no area."""
    common = _common(one, other)
    both = _area(one) + _area(other) - common
    return np.divide(common, both, out=np.zeros_like(common), where=both > 0)
