"""The network at parameters that are not its own: a virtual step, and directional derivatives of losses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from vjo_train.weighting.jacobian import Row, dot

RADIUS = 0.01
"""How far central differences look to either side, as a distance between parameters (Liu, Simonyan & Yang 2019)."""


@contextmanager
def moved(parameters: Sequence[nn.Parameter], direction: Row, by: float) -> Iterator[None]:
    """Inside, the parameters p hold p + by * direction; outside, the very tensors that they held before.

    Nothing is computed to come back, so they are the same to the bit. Graphs made before stay valid: they meet the
    same memory again, and autograd does not count an exchange of `.data` as a change.
    """
    pairs = [(p, d) for p, d in zip(parameters, direction.tensors, strict=True) if d is not None]
    kept = [p.data for p, _ in pairs]
    moved_to = torch._foreach_add(kept, [d for _, d in pairs], alpha=by) if pairs else []
    try:
        for (p, _), there in zip(pairs, moved_to, strict=True):
            p.data = there
        yield
    finally:
        for (p, _), before in zip(pairs, kept, strict=True):
            p.data = before


def length(direction: Row) -> float:
    """The norm of a row; not finite if any of it is not."""
    return float(dot(direction, direction).sqrt())


def directional_derivatives(losses: Callable[[], Tensor], parameters: Sequence[nn.Parameter], direction: Row) -> Tensor:
    """<grad l, direction> for every l in the tensor that `losses` gives, by central differences: two calls, no graph.

    The error falls with the square of `RADIUS`; what `losses` rounds off grows by 1 / `RADIUS`, so it must compute in
    float32, outside autocast.

    Args:
        losses: the losses at what the parameters hold when it is called; draws the same random numbers in every call.
        parameters: what the losses depend on.
        direction: finite; a tensor for each parameter, or None for 0.

    Returns:
        float64, of the losses' shape and on their device; zeros for a direction of length 0.
    """
    far = length(direction)
    by = RADIUS / far if far > 0 else 0.0
    ends = []
    for sign in (1, -1):
        with torch.no_grad(), exact(), moved(parameters, direction, sign * by):
            ends.append(losses().double())
    return (ends[0] - ends[1]) / (2 * by) if by else torch.zeros_like(ends[0])


@contextmanager
def exact() -> Iterator[None]:
    """Inside, a GPU's convolutions take float32 as it is; its short form would drown small differences."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
