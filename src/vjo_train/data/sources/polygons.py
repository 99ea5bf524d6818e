"""From outlines to pixels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def filled(points: npt.NDArray[np.float64], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """[H, W] the pixels whose centres lie inside a polygon, by the even-odd rule.

    Args:
        points: [P, 2] its corners, x and y in pixels from the picture's upper left corner; it may leave the picture.
        size: (height, width) of the picture.
    """
    height, width = size
    centres = np.arange(height) + 0.5
    (x1, y1), (x2, y2) = points.T[:, :, None], np.roll(points, -1, axis=0).T[:, :, None]
    edges, rows = np.nonzero((np.minimum(y1, y2) <= centres) & (centres < np.maximum(y1, y2)))
    x1, y1, x2, y2 = x1[edges, 0], y1[edges, 0], x2[edges, 0], y2[edges, 0]
    crossed = x1 + (centres[rows] - y1) / (y2 - y1) * (x2 - x1)
    first = np.ceil(crossed - 0.5).clip(0, width).astype(np.int64)  # the first centre behind the edge
    crossings = np.zeros((height, width + 1), np.int32)
    np.add.at(crossings, (rows, first), 1)
    inside: npt.NDArray[np.bool_] = crossings[:, :width].cumsum(axis=1) % 2 == 1
    return inside
