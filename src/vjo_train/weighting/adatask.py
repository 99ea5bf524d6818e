"""AdaTask (Yang et al. 2023, "AdaTask: A Task-Aware Adaptive Learning Rate Approach to Multi-Task Learning")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Unpack

import torch
from annotated_types import Interval
from torch import Tensor

from vjo_train.weighting.base import Options
from vjo_train.weighting.elementwise import ElementwiseWeighting

EPSILON = 1e-12
"""Added to the root, so that an element that no gradient has reached yet stays at zero."""


class AdaTask(ElementwiseWeighting):
    """Divides each task's gradient, element by element, by the root of its own running mean square; then adds them up.

    g = c sum_k g_k / sqrt(v_k), with v_k <- beta v_k + (1 - beta) g_k^2, divided by 1 - beta^t. So each task has the
    same say in every shared parameter, whatever the scale of its loss: a factor on a loss changes nothing. An adaptive
    optimizer alone divides by the root of the SUM's mean square, in which the longest gradient counts most.

    In the paper each task has its own state of the whole optimizer (Adam, RMSProp). Here the sum goes to the run's
    optimizer as a gradient, so that momentum, weight decay and learning rates stay what they are.

    Scale: c is such that the first sum is as long as the plain sum of that batch's gradients. One task alone is trained
    as it is. Heads get their own gradients. Memory: K copies of the shared parameters for v, saved with the checkpoint.

    Args:
        tasks: the names of all heads.
        beta: how much of the running mean square is kept.
        options: see `Weighting`.
    """

    per_element: ClassVar[tuple[str, ...]] = ("square",)
    square: Tensor
    seen: Tensor
    level: Tensor

    def __init__(self, *, beta: Annotated[float, Interval(ge=0, lt=1)] = 0.99, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        self.beta = beta
        self.register_buffer("square", torch.empty(0))  # [K, P]: the running mean squares, not yet divided
        self.register_buffer("seen", torch.zeros(len(self.tasks), dtype=torch.int64))
        self.register_buffer("level", torch.tensor(0.0, dtype=torch.float64))  # c; 0 before the first batch

    def merge(self, rows: list[Tensor], gramian: Tensor, tasks: Sequence[str]) -> tuple[Tensor, Tensor]:
        if len(self.tasks) == 1:
            return rows[0], torch.ones(1, dtype=torch.float64)
        square, places = self.sized("square", rows[0]), self.index(tasks)
        self.seen[places] += 1
        for row, place in zip(rows, places, strict=True):
            square[place].mul_(self.beta).addcmul_(row, row, value=1 - self.beta)
            mean = square[place] / (1 - self.beta ** int(self.seen[place]))
            row.div_(mean.sqrt_().add_(EPSILON))
        if self.diagnostics:
            norms = torch.stack([torch.linalg.vector_norm(row) for row in rows]).tolist()
            self.diagnostics |= {f"update_norm/{task}": norm for task, norm in zip(tasks, norms, strict=True)}
        merged = rows[0]
        for row in rows[1:]:
            merged.add_(row)
        if self.level == 0:
            self.level.copy_(gramian.sum().clamp(min=0).sqrt() / torch.linalg.vector_norm(merged).clamp(min=EPSILON))
        return merged.mul_(float(self.level)), torch.ones(len(tasks), dtype=torch.float64)
