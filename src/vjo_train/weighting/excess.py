"""ExcessMTL (He et al. 2024, "Robust Multi-Task Learning with Excess Risks")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Unpack

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from vjo_train.weighting.base import Options
from vjo_train.weighting.elementwise import ElementwiseWeighting


class ExcessMTL(ElementwiseWeighting):
    """Tasks far from their optimum weigh more: w_k <- w_k exp(step E_k / E_k(0)), then put to sum K.

    The excess risk is estimated as E_k = sum_p g_kp^2 / h_kp, h_kp = sqrt(sum over batches of g_kp^2 + 1e-7), on the
    shared parameters. E_k(0) is its mean over the task's first `warmup` batches, in which the weights stay as they are.

    Scale: the weights sum to K. Heads are weighted like the shared parameters. Memory: K copies of the shared
    parameters for the sums of squares, saved with the checkpoint.

    Args:
        tasks: the names of all heads.
        step: how fast the weights follow.
        warmup: batches per task from which E_k(0) is taken.
        options: see `Weighting`.
    """

    weights_heads: ClassVar[bool] = True
    per_element: ClassVar[tuple[str, ...]] = ("squares",)
    squares: Tensor
    seen: Tensor
    first: Tensor
    log_weights: Tensor

    def __init__(
        self,
        *,
        step: Annotated[float, Gt(0)] = 0.01,
        warmup: Annotated[int, Ge(1)] = 1,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(**options)
        self.step, self.warmup = step, warmup
        k = len(self.tasks)
        self.register_buffer("squares", torch.empty(0))
        self.register_buffer("seen", torch.zeros(k, dtype=torch.int64))
        self.register_buffer("first", torch.zeros(k, dtype=torch.float64))  # the sum of E_k in the warm-up
        self.register_buffer("log_weights", torch.zeros(k, dtype=torch.float64))

    def merge(self, rows: list[Tensor], gramian: Tensor, tasks: Sequence[str]) -> tuple[Tensor, Tensor]:
        squares, places, k = self.sized("squares", rows[0]), self.index(tasks), len(tasks)
        excess = []
        for row, place in zip(rows, places, strict=True):
            squares[place].addcmul_(row, row)
            excess.append((row * row / (squares[place] + 1e-7).sqrt()).sum())
        risk = torch.stack(excess).cpu().double()
        warm = self.seen[places] < self.warmup
        self.first[places] += torch.where(warm, risk, 0.0)
        self.seen[places] += 1
        relative = risk / (self.first[places] / self.warmup).clamp(min=1e-7)
        self.log_weights[places] += torch.where(warm, 0.0, self.step * relative)
        self.log_weights -= self.log_weights.logsumexp(0)
        weights = k * self.log_weights[places].softmax(0)
        merged = rows[0].mul_(float(weights[0]))
        for weight, row in zip(weights.tolist()[1:], rows[1:], strict=True):
            merged.add_(row, alpha=weight)
        return merged, weights
