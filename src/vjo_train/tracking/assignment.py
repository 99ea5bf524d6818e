"""Which of some boxes are the same objects: overlaps, and pairs of the least cost."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vjo_train.errors import ConfigError

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
MISSING = "track: scipy is not installed; pip install 'vjo-train[video]'."


def overlaps(first: Floats, second: Floats) -> Floats:
    """Intersection over union [N, M] of boxes [N, 4] and [M, 4] xyxy; 0 for boxes without area."""
    corner = np.maximum(first[:, None, :2], second[None, :, :2])
    shared = np.clip(np.minimum(first[:, None, 2:], second[None, :, 2:]) - corner, 0, None).prod(axis=2)
    area, other = ((boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (first, second))
    union = area[:, None] + other[None] - shared
    found: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return found


def pairs(costs: Floats, limit: float, alone: float | None = None) -> tuple[Places, Places]:
    """Rows and columns that are matched, each once, so that the sum of the costs is least.

    Args:
        costs: [N, M]; pairs that must not be have infinity.
        limit: a pair may cost no more.
        alone: what leaving a pair out costs; None: just more than `limit`. A large number makes as many pairs as there
            can be.

    Raises:
        ConfigError: scipy is not installed.
    """
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as error:
        raise ConfigError(MISSING) from error
    allowed = costs <= limit
    rows, columns = linear_sum_assignment(np.where(allowed, costs, limit + 1e-4 if alone is None else alone))
    kept = allowed[rows, columns]
    return rows[kept].astype(np.int64), columns[kept].astype(np.int64)
