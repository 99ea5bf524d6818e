"""What a step on one task's gradient does to the losses of all tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from vjo_train.training.losses import StepLosses
from vjo_train.weighting.jacobian import Row, distributed, loss_rows, packed
from vjo_train.weighting.virtual_step import exact, moved


def affinity(before: Tensor, after: Tensor) -> Tensor:
    """Inter-task affinity Z [K, K]: Z_ij = 1 - L_j(after a step on task i's gradient) / L_j(before).

    Fifty et al. 2021, "Efficiently identifying task groupings for multi-task learning". Above 0: the step of task i
    lowers the loss of task j too; Z_ii is what it does for itself.

    Args:
        before: [K] losses.
        after: [K, K]: row i are the losses after the step of task i.

    Returns:
        float64; NaN where it is not defined: a loss of 0 before, or one that is not finite.
    """
    ratio = 1 - after.double() / before.double()
    return torch.where(ratio.isfinite() & (before > 0), ratio, torch.nan)


def lookahead(
    losses: Callable[[], StepLosses], shared: Sequence[nn.Parameter], rates: Sequence[float]
) -> tuple[tuple[str, ...], Tensor, Tensor]:
    """The losses before and after a plain gradient step of each task on the shared parameters alone.

    The parameters hold their very own tensors again afterwards, and their `.grad` is not touched. Costs one forward
    with graph, K backwards and K forwards, and the memory of K gradients. Under several ranks the gradients are those
    of the global batch, and all ranks come to the same.

    Args:
        losses: the losses at what the parameters hold when it is called; equal in every call but for that.
        shared: what is moved.
        rates: the learning rate of each of them.

    Returns:
        The K tasks that are present, their losses [K], and [K, K] as in `affinity`; on the CPU.
    """
    with exact():
        now = losses()
        tasks = tuple(now.values)
        if not tasks:
            return (), torch.empty(0), torch.empty(0, 0)
        rows = loss_rows(list(now.shares.values()), shared)
        if distributed():
            packed(rows, shared)
        after = []
        for row in rows:
            step = Row([None if g is None else g * rate for g, rate in zip(row.tensors, rates, strict=True)])
            with torch.no_grad(), moved(shared, step, -1.0):
                later = losses().values
            after.append(torch.stack([later[task] for task in tasks]))
    return tasks, torch.stack(list(now.values.values())).cpu(), torch.stack(after).cpu()
