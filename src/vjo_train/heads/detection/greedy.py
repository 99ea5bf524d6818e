"""Greedy non-maximum suppression on a CPU."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]

BLOCK = 64
"""Boxes whose order is looked at one by one; what they suppress behind them is worked out at once."""


def by_group(boxes: Floats, scores: Floats, groups: npt.NDArray[np.int64], threshold: float) -> Flags:
    """Which boxes stay, if of two of one group with more IoU than `threshold` the better one does.

    As torchvision's kernel does, to the bit and as quickly, but without importing torchvision, which imports torch's
    compiler: that takes longer than a prediction does.

    Args:
        boxes: [N, 4] xyxy.
        scores: [N]; of equals the earlier one is better.
        groups: [N].
        threshold: greatest IoU of two boxes of a group that stay.

    Returns:
        [N].
    """
    order = np.lexsort((-scores, groups))
    ends = np.flatnonzero(np.diff(groups[order])) + 1
    stays = np.ones(len(boxes), dtype=bool)
    for places in np.split(order, ends):
        if len(places) > 1:
            stays[places] = ranked(boxes[places], threshold)
    return stays


def ranked(boxes: Floats, threshold: float) -> Flags:
    """The same for boxes [N, 4] of one group, best first."""
    sides = np.ascontiguousarray(boxes.T)
    stays = np.ones(len(boxes), dtype=bool)
    for start in range(0, len(boxes), BLOCK):
        end = start + BLOCK
        own = start + np.flatnonzero(stays[start:end])
        close = _close(sides[:, own], sides[:, own], threshold)
        for place, here in enumerate(own):
            if stays[here]:
                stays[own[place + 1 :][close[place, place + 1 :]]] = False
        better, rest = own[stays[own]], end + np.flatnonzero(stays[end:])
        if len(rest):
            stays[rest[_close(sides[:, better], sides[:, rest], threshold).any(0)]] = False
    return stays


def _close(a: Floats, b: Floats, threshold: float) -> Flags:
    """[N, M]: whether two of the boxes [4, N] and [4, M] have more IoU than `threshold`; empty ones have none."""
    a, b = a[:, :, None], b[:, None]
    width = np.minimum(a[2], b[2])
    width -= np.maximum(a[0], b[0])
    height = np.minimum(a[3], b[3])
    height -= np.maximum(a[1], b[1])
    shared = np.maximum(width, 0, out=width)
    shared *= np.maximum(height, 0, out=height)
    union = _area(a) + _area(b)
    union -= shared
    with np.errstate(invalid="ignore", divide="ignore"):
        shared /= union
    found: Flags = shared > np.float64(threshold)  # as the kernel, which does not round it to float32
    return found


def _area(sides: Floats) -> Floats:
    return (sides[2] - sides[0]) * (sides[3] - sides[1])  # type: ignore[no-any-return]
