"""Small convex programs over task weights, solved exactly by trying every set of active constraints.

K tasks give at most 2^K - 1 sets; for the handful of tasks of a network that is quicker than an iterative solver, has
no tolerance to tune and no way of not converging.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations

import torch
from torch import Tensor

from vjo_train.errors import ConfigError

MAX_TASKS = 10
"""More sets than this number of tasks gives are not enumerated."""


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
    return _best(gramian, [*_min_norm_candidates(gramian)], lambda w: w @ gramian @ w)


def _min_norm_candidates(gramian: Tensor) -> Iterator[Tensor]:
    k = len(gramian)
    for support in supports(k):
        block = gramian[support][:, support]
        n = len(support)
        system = torch.zeros(n + 1, n + 1, dtype=gramian.dtype)
        system[:n, :n] = block / block.diagonal().max().clamp(min=1e-300)
        system[:n, n] = system[n, :n] = 1
        right = torch.zeros(n + 1, dtype=gramian.dtype)
        right[n] = 1
        solution = (torch.linalg.pinv(system, hermitian=True) @ right)[:n]
        yield from _on_simplex(solution, support, k)


def _on_simplex(solution: Tensor, support: list[int], k: int) -> Iterator[Tensor]:
    """The solution as a point of the simplex, unless it lies outside by more than rounding."""
    if not solution.isfinite().all() or solution.min() < -1e-9 or not 0.5 < solution.sum() < 2:
        return
    weights = torch.zeros(k, dtype=solution.dtype)
    weights[support] = solution.clamp(min=0)
    yield weights / weights.sum()


def _best(gramian: Tensor, candidates: list[Tensor], cost: object) -> Tensor:
    """The candidate of least cost; among those within rounding of it, the one of least norm, so that ties are fair."""
    assert callable(cost)
    costs = torch.stack([cost(w) for w in candidates])
    slack = 1e-13 * gramian.diagonal().max()
    near = [w for w, c in zip(candidates, costs, strict=True) if c <= costs.min() + slack]
    return min(near, key=lambda w: float(w @ w))


def cone_projection(gramian: Tensor, start: Tensor) -> Tensor:
    """The weights [K] v >= start that minimise v^T G v: J^T v is J^T start projected onto the dual cone of the rows.

    The projection has no negative dot product with any row (Lopez-Paz & Ranzato 2017, equation 11).

    Args:
        gramian: G = J J^T [K, K] float64.
        start: [K], what is projected.
    """
    k = len(gramian)
    products = gramian @ start
    if (products >= 0).all():
        return start.clone()
    scale = gramian.diagonal().clamp(min=1e-300).sqrt()
    cosines = gramian / scale / scale[:, None]  # a free choice of units: badly scaled tasks solve as well as others
    begin = start * scale
    best, least = start, math.inf
    for free in supports(k):
        fixed = [i for i in range(k) if i not in free]
        block = cosines[free][:, free]
        right = -(cosines[free][:, fixed] @ begin[fixed])
        solution = torch.linalg.pinv(block, hermitian=True) @ right
        if (solution < begin[free] - 1e-9 * begin.abs().max()).any():
            continue
        weights = begin.clone()
        weights[free] = torch.maximum(solution, begin[free])
        cost = float(weights @ cosines @ weights)
        if cost < least - 1e-13:
            best, least = weights / scale, cost
    return best


def conflict_averse(gramian: Tensor, radius: float) -> Tensor:
    """The point of the simplex [K] that minimises g_w^T g_0 + radius ||g_w||, with g_w = J^T w, g_0 = J^T 1/K.

    On each support the stationary point has a closed form: with a = 1^T G^-1 1, h = 1^T G^-1 b, q = b^T G^-1 b and
    b = G 1/K, it is w ~ G^-1 (mu 1 - b), mu = (h + sqrt(h^2 - a (q - radius^2))) / a. Where G is singular on a support
    the minimum is on a smaller one, or at the point of least norm.

    Args:
        gramian: G [K, K] float64.
        radius: >= 0.
    """
    k = len(gramian)
    mean = gramian.mean(1)
    candidates = [min_norm(gramian)]
    for support in supports(k):
        block, b = gramian[support][:, support], mean[support]
        inverse = torch.linalg.pinv(block, hermitian=True)
        ones = torch.ones_like(b)
        a, h, q = ones @ inverse @ ones, ones @ inverse @ b, b @ inverse @ b
        root = h * h - a * (q - radius * radius)
        if a <= 0 or root < 0:
            continue
        solution = inverse @ ((h + root.sqrt()) / a * ones - b)
        if len(support) > 1 and (solution.sum() <= 0 or radius == 0):
            continue
        solution = ones if len(support) == 1 else solution / solution.sum()
        candidates += _on_simplex(solution, support, k)
    for i in range(k):
        candidates.append(torch.eye(k, dtype=gramian.dtype)[i])

    def cost(w: Tensor) -> Tensor:
        return w @ mean + radius * (w @ gramian @ w).clamp(min=0).sqrt()

    return _best(gramian, candidates, cost)


def onto_simplex(point: Tensor) -> Tensor:
    """The nearest point [K] of the probability simplex (Held, Wolfe & Crowder 1974)."""
    ordered = point.sort(descending=True).values
    excess = (ordered.cumsum(0) - 1) / torch.arange(1, len(point) + 1, dtype=point.dtype, device=point.device)
    last = int((ordered > excess).sum()) - 1
    return (point - excess[last]).clamp(min=0)


def check_count(tasks: Sequence[str]) -> None:
    """Checks that there are few enough tasks to enumerate.

    Raises:
        ConfigError: more than `MAX_TASKS`.
    """
    if len(tasks) > MAX_TASKS:
        raise ConfigError(f"weighting: found {len(tasks)} tasks; this method solves for at most {MAX_TASKS}.")
