"""Small convex programs over task weights, solved exactly by trying every set of active constraints.

K tasks give at most 2^K - 1 sets; for the handful of tasks of a network that is quicker than an iterative solver, has
no tolerance to tune and no way of not converging. In NumPy, whose calls on a few numbers cost a fifth of torch's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vjo_train.errors import ConfigError

Array: TypeAlias = NDArray[np.float64]

MAX_TASKS = 10
"""More sets than this number of tasks gives are not enumerated."""

SINGULAR = 1e-12
"""Relative to the largest, singular values up to this count as zero."""


def check_count(tasks: Sequence[str]) -> None:
    """Checks that there are few enough tasks to enumerate.

    Raises:
        ConfigError: more than `MAX_TASKS`.
    """
    if len(tasks) > MAX_TASKS:
        raise ConfigError(f"weighting: found {len(tasks)} tasks; this method solves for at most {MAX_TASKS}.")


def supports(k: int) -> Iterator[list[int]]:
    """Every non-empty subset of 0..k-1."""
    for size in range(1, k + 1):
        for subset in combinations(range(k), size):
            yield list(subset)


def min_norm(gramian: Tensor) -> Tensor:
    """The point of the simplex [K] that minimises w^T G w; among several, the one of least norm found.

    Args:
        gramian: G [K, K] float64, positive semi-definite.
    """
    return torch.from_numpy(_min_norm(gramian.numpy()))


def _min_norm(gramian: Array) -> Array:
    k = len(gramian)
    lengths = np.sqrt(np.diagonal(gramian))
    if not lengths.all():
        return np.where(lengths == 0, 1.0, 0.0) / np.count_nonzero(lengths == 0)
    # In units of each gradient's length, and of the shortest, so that badly scaled tasks solve as well as others.
    cosines, units = gramian / lengths / lengths[:, None], lengths.min() / lengths
    candidates: list[Array] = []
    for support in supports(k):
        n = len(support)
        system = np.zeros((n + 1, n + 1))
        system[:n, :n] = cosines[np.ix_(support, support)]
        system[:n, n] = system[n, :n] = units[support]
        right = np.zeros(n + 1)
        right[n] = 1
        candidates += _on_simplex(_solve(system, right)[:n] * units[support], support, k)
    return _best(candidates, lambda w: float((w / units) @ cosines @ (w / units)), 1e-13)


def cone_projection(gramian: Tensor, start: Tensor) -> Tensor:
    """The weights [K] v >= start that minimise v^T G v: J^T v is J^T start projected onto the dual cone of the rows.

    The projection has no negative dot product with any row (Lopez-Paz & Ranzato 2017, equation 11).

    Args:
        gramian: G = J J^T [K, K] float64.
        start: [K] >= 0, what is projected.
    """
    return torch.from_numpy(_cone_projection(gramian.numpy(), start.numpy()))


def _cone_projection(gramian: Array, start: Array) -> Array:
    k = len(gramian)
    if (gramian @ start >= 0).all():
        return start.copy()
    lengths = np.sqrt(np.diagonal(gramian))
    lengths = np.where(lengths > 0, lengths, 1)
    cosines = gramian / lengths / lengths[:, None]  # so that badly scaled tasks solve as well as others
    begin = start * lengths
    unit = begin.max()
    begin = begin / unit
    best, least = begin, np.inf
    for free in supports(k):
        fixed = [i for i in range(k) if i not in free]
        solution = _solve(cosines[np.ix_(free, free)], -(cosines[np.ix_(free, fixed)] @ begin[fixed]))
        if (solution < begin[free] - 1e-9).any():
            continue
        weights = begin.copy()
        weights[free] = np.maximum(solution, begin[free])
        cost = weights @ cosines @ weights
        if cost < least - 1e-14:
            best, least = weights, cost
    weights = np.asarray(best * unit / lengths, dtype=np.float64)
    return weights


def conflict_averse(gramian: Tensor, radius: float) -> Tensor:
    """The point of the simplex [K] that minimises g_w^T g_0 + radius |g_w|, with g_w = J^T w, g_0 = J^T 1/K.

    On each support the stationary point has a closed form: with a = 1^T G^-1 1, h = 1^T G^-1 b, q = b^T G^-1 b and
    b = G 1/K, it is w ~ G^-1 (mu 1 - b), mu = (h + sqrt(h^2 - a (q - radius^2))) / a. Where G is singular on a support
    the minimum is on a smaller one, or at the point of least norm.

    Args:
        gramian: G [K, K] float64.
        radius: >= 0, in units of |g_0|'s own.
    """
    unit = max(float(gramian.max()), 1e-300)
    return torch.from_numpy(_conflict_averse(gramian.numpy() / unit, radius / unit**0.5))


def _conflict_averse(gramian: Array, radius: float) -> Array:
    k = len(gramian)
    mean = gramian.mean(1)
    candidates = [_min_norm(gramian), *np.eye(k)]
    for support in supports(k):
        if len(support) == 1:
            continue
        b, ones = mean[support], np.ones(len(support))
        inverse = np.linalg.pinv(gramian[np.ix_(support, support)], rcond=SINGULAR, hermitian=True)
        a, h, q = ones @ inverse @ ones, ones @ inverse @ b, b @ inverse @ b
        root = h * h - a * (q - radius * radius)
        if a <= 0 or root < 0:
            continue
        solution = inverse @ ((h + np.sqrt(root)) / a * ones - b)
        if solution.sum() > 0:
            candidates += _on_simplex(solution / solution.sum(), support, k)
    return _best(candidates, lambda w: float(w @ mean + radius * np.sqrt(max(float(w @ gramian @ w), 0.0))), 1e-13)


def onto_simplex(point: Tensor) -> Tensor:
    """The nearest point [K] of the probability simplex (Held, Wolfe & Crowder 1974)."""
    ordered = point.sort(descending=True).values
    excess = (ordered.cumsum(0) - 1) / torch.arange(1, len(point) + 1, dtype=point.dtype, device=point.device)
    last = int((ordered > excess).sum()) - 1
    return (point - excess[last]).clamp(min=0)


def _solve(system: Array, right: Array) -> Array:
    return np.asarray(np.linalg.lstsq(system, right, rcond=SINGULAR)[0], dtype=np.float64)


def _on_simplex(solution: Array, support: list[int], k: int) -> Iterator[Array]:
    """The solution as a point of the simplex, unless it lies outside by more than rounding."""
    if not np.isfinite(solution).all() or solution.min() < -1e-9 or not 0.5 < solution.sum() < 2:
        return
    weights = np.zeros(k)
    weights[support] = np.maximum(solution, 0)
    yield weights / weights.sum()


def _best(candidates: list[Array], cost: Callable[[Array], float], slack: float) -> Array:
    """The candidate of least cost; among those within rounding of it, the one of least norm, so that ties are fair."""
    costs = [cost(w) for w in candidates]
    least = min(costs) + slack
    near = [w for w, c in zip(candidates, costs, strict=True) if c <= least]
    return min(near, key=lambda w: float(w @ w))
