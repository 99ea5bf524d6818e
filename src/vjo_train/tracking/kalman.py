"""A Kalman filter of boxes that move at a constant speed, as of SORT and its descendants, for N boxes at once.

The state of a box is its centre, its aspect (width / height) and height, and how much each changes in a frame. The
noise grows with the height (Wojke et al., https://arxiv.org/abs/1703.07402).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

PLACE, SPEED = 1 / 20, 1 / 160
"""Standard deviations of the place and of the speed, in heights."""
_ASPECT_PLACE, _ASPECT_SPEED, _ASPECT_SEEN = 1e-2, 1e-5, 1e-1
_MOVE = np.eye(8) + np.diag(np.ones(4), 4)


@dataclass
class States:
    """Of N boxes."""

    mean: Floats
    """[N, 8]: x, y, aspect, height, and their changes in a frame."""
    covariance: Floats
    """[N, 8, 8]."""

    def __getitem__(self, which: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> States:
        return States(self.mean[which], self.covariance[which])

    @property
    def boxes(self) -> Floats:
        """[N, 4] xyxy."""
        half = np.stack([self.mean[:, 2] * self.mean[:, 3], self.mean[:, 3]], axis=1) / 2
        return np.concatenate([self.mean[:, :2] - half, self.mean[:, :2] + half], axis=1)


def measured(boxes: Floats) -> Floats:
    """Boxes [N, 4] xyxy as x, y, aspect, height."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 1e-6)
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    return np.stack([middle[:, 0], middle[:, 1], sides[:, 0] / sides[:, 1], sides[:, 1]], axis=1)


def started(boxes: Floats) -> States:
    """Of boxes that are seen for the first time, whose speeds are unknown."""
    seen = measured(boxes)
    mean = np.concatenate([seen, np.zeros_like(seen)], axis=1)
    return States(mean, _diagonal(seen[:, 3], 2 * PLACE, _ASPECT_PLACE, 10 * SPEED, _ASPECT_SPEED))


def predicted(states: States) -> States:
    """A frame later."""
    noise = _diagonal(states.mean[:, 3], PLACE, _ASPECT_PLACE, SPEED, _ASPECT_SPEED)
    return States(states.mean @ _MOVE.T, _MOVE @ states.covariance @ _MOVE.T + noise)


def corrected(states: States, boxes: Floats) -> States:
    """After seeing the boxes [N, 4] xyxy."""
    height = states.mean[:, 3]
    noise = _diagonal(height, PLACE, _ASPECT_SEEN)
    expected = states.covariance[:, :4, :4] + noise
    gain = np.linalg.solve(expected, states.covariance[:, :4, :]).transpose(0, 2, 1)
    off = measured(boxes) - states.mean[:, :4]
    mean = states.mean + (gain @ off[..., None])[..., 0]
    return States(mean, states.covariance - gain @ expected @ gain.transpose(0, 2, 1))


def _diagonal(heights: Floats, *deviations: float) -> Floats:
    """[N, D, D] for pairs of deviations: of x, y and height (in heights), and of the aspect."""
    columns = []
    for relative, aspect in zip(deviations[::2], deviations[1::2], strict=True):
        own = relative * heights
        columns += [own, own, np.full_like(heights, aspect), own]
    spread = np.stack(columns, axis=1) ** 2
    return spread[:, :, None] * np.eye(len(columns))
