"""What a training step's images cost: each image by itself, and the mean over the labelled images of all ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vjo_train.errors import not_finite
from vjo_train.types import Batch
from vjo_train.weighting.jacobian import distributed


@dataclass(frozen=True)
class StepLosses:
    """The losses of one step, task by task. A task that no image of the GLOBAL batch is labelled for is not in it.

    A head whose loss is split is several tasks here, such as `instance/box`.
    """

    per_image: dict[str, Tensor]
    """Task -> [B] float32 with graph: the losses of this rank's images, 0 where an image is not labelled."""
    labelled: dict[str, Tensor]
    """Task -> [B] bool: which of this rank's images are labelled."""
    counts: dict[str, int]
    """Task -> the labelled images of the global batch, at least 1; the same on every rank."""
    shares: dict[str, Tensor]
    """Task -> scalar with graph: this rank's share of the mean over the labelled images of the global batch. Summed
    over ranks it is the task loss. A scalar without graph where this rank has no labelled image."""
    values: dict[str, Tensor]
    """Task -> detached float32 scalar: the task loss of the global batch, the same on every rank."""


def step_losses(per_image: Mapping[str, Tensor], labelled: Mapping[str, Sequence[bool]]) -> StepLosses:
    """Losses [B] with graph and flags [B] of this rank's images, task by task, put together over all ranks.

    Every rank must name the same tasks in the same order.
    """
    flags = {task: torch.tensor(labelled[task], device=loss.device) for task, loss in per_image.items()}
    # One graph per task: a backward of one must not pass zeros through the others' heads.
    masked = {task: loss.float() * flags[task] for task, loss in per_image.items()}
    sums = {task: loss.sum() for task, loss in masked.items()}
    total = torch.stack(list(sums.values())).detach()
    pair = torch.stack([total, total.new_tensor([sum(labelled[task]) for task in sums])])
    if distributed():
        torch.distributed.all_reduce(pair)
    total, counted = pair
    number = dict(zip(sums, map(int, counted.tolist()), strict=True))
    present = {task: k for k, task in enumerate(sums) if number[task]}
    return StepLosses(
        per_image={task: masked[task] for task in present},
        labelled={task: flags[task] for task in present},
        counts={task: number[task] for task in present},
        shares={
            task: sums[task] / counted[k] if any(labelled[task]) else torch.zeros_like(total[k])
            for task, k in present.items()
        },
        values={task: total[k] / counted[k] for task, k in present.items()},
    )


def check_finite(losses: StepLosses, batch: Batch) -> None:
    """Checks every task loss of the global batch.

    Raises:
        NumericsError: one is not finite; names the first task at fault, the batch and this rank's images.
    """
    finite = torch.stack(list(losses.values.values())).isfinite().tolist() if losses.values else []
    for task, ok in zip(losses.values, finite, strict=True):
        if not ok:
            raise not_finite(f"the loss of {task}", batch.step, batch.ids)
