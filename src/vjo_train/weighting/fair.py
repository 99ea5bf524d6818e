"""The weights of fair division: G w = w^(-1/alpha), by damped Newton."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def fair_weights(
    gramian: Tensor, alpha: float, tolerance: float = 1e-9, iterations: int = 100
) -> tuple[Tensor, float, int]:
    """Solves (G w)_i = w_i^(-1/alpha), w > 0: the stationary point of w^T G w / 2 - sum_i phi(w_i).

    phi' = w^(-1/alpha), so the function is strictly convex and the solution unique. There is none where a convex
    combination of the gradients is zero (a Pareto-stationary point): the weights then grow without bound along that
    combination, and the last iterate's direction is near it.

    Args:
        gramian: G [K, K] float64 with a positive diagonal.
        alpha: > 0; 1 is the Nash bargaining solution.
        tolerance: on the residual max_i |w_i^(1/alpha) (G w)_i - 1|.
        iterations: the most Newton steps taken.

    Returns:
        The last iterate w [K], its residual, the number of steps.
    """
    power = 1 / alpha
    w = gramian.diagonal() ** (-1 / (1 + power))  # exact for orthogonal gradients

    def derivative(w: Tensor) -> Tensor:
        return gramian @ w - w**-power

    def residual(w: Tensor) -> float:
        return float((w**power * (gramian @ w) - 1).abs().max())

    def value(w: Tensor) -> Tensor:
        phi = w.log() if power == 1 else w ** (1 - power) / (1 - power)
        return w @ gramian @ w / 2 - phi.sum()

    for step in range(iterations):
        if residual(w) <= tolerance:
            return w, residual(w), step
        slope = derivative(w)
        # In units of w the Hessian is well scaled whatever the lengths of the gradients.
        hessian = w[:, None] * gramian * w + torch.diag(power * w ** (1 - power))
        newton, failure = torch.linalg.solve_ex(hessian, w * slope)
        if failure or not newton.isfinite().all():
            return w, residual(w), step
        move = -w * newton
        descent = slope @ move
        shrink = -(move / w).min()
        length = min(1.0, 0.95 / float(shrink)) if shrink > 0 else 1.0
        w = w + _step_length(value, w, move, length, descent) * move
    return w, residual(w), iterations


def _step_length(value: Callable[[Tensor], Tensor], w: Tensor, move: Tensor, length: float, descent: Tensor) -> float:
    """Halves `length` until `value` falls enough along `move` (Armijo 1966); `descent` is its slope at `w`."""
    before = value(w)
    for _ in range(40):
        if value(w + length * move) <= before + 1e-4 * length * descent + 1e-14 * before.abs():
            break
        length /= 2
    return length
