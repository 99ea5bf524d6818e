"""Adam (Kingma & Ba 2015) for the few numbers that a weighting learns by itself, beside the run's optimizer."""

from __future__ import annotations

from torch import Tensor


def adam(slope: Tensor, mean: Tensor, square: Tensor, count: Tensor | int) -> tuple[Tensor, Tensor, Tensor]:
    """One step, elementwise, with the usual decays 0.9 and 0.999.

    Args:
        slope: the gradient.
        mean: running mean of gradients, 0 at first.
        square: running mean of squared gradients, 0 at first.
        count: the number of this step, from 1.

    Returns:
        The direction to subtract, times the learning rate; the new `mean`; the new `square`.
    """
    mean = 0.9 * mean + 0.1 * slope
    square = 0.999 * square + 0.001 * slope**2
    direction = mean / (1 - 0.9**count) / ((square / (1 - 0.999**count)).sqrt() + 1e-8)
    return direction, mean, square
