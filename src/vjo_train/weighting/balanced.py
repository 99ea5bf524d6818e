"""Constant weights, calibrated once, under which all tasks have gradients of one length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal, Unpack

import torch
from annotated_types import Ge
from torch import Tensor

from vjo_train.weighting.base import (
    LossWeighting,
    Options,
    TaskLosses,
    feature_gramian,
    finite,
    parameter_gramian,
)


def balanced_weights(norms: Tensor) -> Tensor:
    """Gradient norms [K] > 0 -> weights [K] = K (1 / n_k) / sum_j (1 / n_j): w_k n_k is the same for all tasks."""
    inverse = norms.min() / norms
    return norms.numel() * inverse / inverse.sum()


class Balanced(LossWeighting):
    """Gives every task a gradient of the same length in the shared part, by weights that then stay.

    The length of a task is the geometric mean of the norms of its loss's gradient over the first `batches` batches in
    which the task is present. While these go by, the network trains with the weights found so far, so that the norms
    are not only those of random weights. From then on the weights are constant and a step costs what it costs under
    `equal`; each batch before costs one more backward for each task.

    It is the idea of GradNorm (Chen et al. 2018) at alpha = 0, without its second optimizer and without a drift of the
    weights in late training, when norms are mostly noise.

    Scale: the weights of the tasks that have been present sum to their number; a task that has not been present yet
    weighs 1, and so does a task that is alone. Heads are weighted like the shared parameters.

    Args:
        tasks: the names of all heads.
        batches: N.
        at: where the norms are taken. `parameters`: over all shared parameters. `features`: at the tensors where the
            features that tasks share end, which costs a backward through the heads only.
        options: see `Weighting`.
    """

    log_sum: Tensor
    count: Tensor

    def __init__(
        self,
        *,
        batches: Annotated[int, Ge(1)] = 100,
        at: Literal["parameters", "features"] = "parameters",
        **options: Unpack[Options],
    ) -> None:
        super().__init__(**options)
        self.batches, self.at = batches, at
        self.calibrates = batches if len(self.tasks) > 1 else 0
        self.register_buffer("log_sum", torch.zeros(len(self.tasks), dtype=torch.float64))  # of the norms
        self.register_buffer("count", torch.zeros(len(self.tasks), dtype=torch.int64))  # of the batches in it

    def step_weights(self, step: TaskLosses) -> Tensor:
        if len(self.tasks) == 1:  # weighs 1, whatever its norm
            return super().step_weights(step)
        due = [task for task in step.tasks if self.count[self.tasks.index(task)] < self.batches]
        if due:
            self._measure(
                replace(step, losses={t: step.losses[t] for t in due}, values={t: step.values[t] for t in due})
            )
        return super().step_weights(step)

    def _measure(self, step: TaskLosses) -> None:
        """Counts in the norms of this batch's gradients; a task without a gradient is passed over."""
        losses = [loss * step.factor for loss in step.losses.values()]
        gramian = feature_gramian if self.at == "features" else parameter_gramian
        matrix = gramian(losses, step)
        if not finite(matrix, step):
            return
        norms = matrix.diagonal().sqrt()
        places = torch.tensor(self.index(step.tasks))[norms > 0]
        self.log_sum[places] += norms[norms > 0].log()
        self.count[places] += 1

    def weights(self, values: Tensor, tasks: Sequence[str], epoch: int) -> Tensor:
        weights = torch.ones(len(self.tasks), dtype=torch.float64)
        known = self.count > 0
        if known.any():
            weights[known] = balanced_weights((self.log_sum[known] / self.count[known]).exp())
        return weights[self.index(tasks)]
