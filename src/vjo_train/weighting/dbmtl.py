"""DB-MTL (Lin et al. 2023, "Dual-Balancing for Multi-Task Learning")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Unpack

import torch
from annotated_types import Ge, Interval
from torch import Tensor

from vjo_train.weighting.base import Options
from vjo_train.weighting.elementwise import ElementwiseWeighting


class DBMTL(ElementwiseWeighting):
    """Balances losses by their logarithm, and gradients by giving all the length of the longest.

    With g_k the gradient of log L_k and its running mean m_k <- beta_t m_k + (1 - beta_t) g_k, beta_t = beta / t^sigma
    (t counts the batches with the task; m_k starts as the first g_k), the update is max_j |m_j| sum_k m_k / |m_k|.

    Scale: that of the longest mean gradient of a LOG loss, so the learning rate means something else than under
    `equal`; this is the paper's point. Heads get the gradient of log L_k. The weight in the log is that of m_k; one of
    a zero m_k is 1. Memory: K copies of the shared parameters for the means, saved with the checkpoint.

    Args:
        tasks: the names of all heads.
        beta: how much of the running mean is kept at first; 0 for none.
        sigma: how fast that falls.
        options: see `Weighting`.
    """

    log_losses: ClassVar[bool] = True
    per_element: ClassVar[tuple[str, ...]] = ("mean",)
    mean: Tensor
    seen: Tensor

    def __init__(
        self,
        *,
        beta: Annotated[float, Interval(ge=0, lt=1)] = 0.9,
        sigma: Annotated[float, Ge(0)] = 0.5,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(**options)
        self.beta, self.sigma = beta, sigma
        self.register_buffer("mean", torch.empty(0))
        self.register_buffer("seen", torch.zeros(len(self.tasks), dtype=torch.int64))

    def merge(self, rows: list[Tensor], gramian: Tensor, tasks: Sequence[str]) -> tuple[Tensor, Tensor]:
        mean, places = self.sized("mean", rows[0]), self.index(tasks)
        self.seen[places] += 1
        for row, place in zip(rows, places, strict=True):
            count = int(self.seen[place])
            kept = 0.0 if count == 1 else self.beta / count**self.sigma
            mean[place].lerp_(row, 1 - kept)
        lengths = torch.stack([torch.linalg.vector_norm(mean[place]) for place in places]).cpu().double()
        weights = torch.where(lengths > 0, lengths.max() / lengths, torch.ones_like(lengths))
        merged = rows[0].zero_()
        for weight, place in zip(weights.tolist(), places, strict=True):
            merged.add_(mean[place], alpha=weight)
        return merged, weights
