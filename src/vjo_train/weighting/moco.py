"""MoCo (Fernando et al. 2023, "Mitigating Gradient Bias in Multi-objective Learning")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Unpack

import torch
from annotated_types import Ge, Gt, Interval
from torch import Tensor

from vjo_train.weighting.base import Options
from vjo_train.weighting.elementwise import ElementwiseWeighting
from vjo_train.weighting.jacobian import Row
from vjo_train.weighting.jacobian import gramian as row_gramian
from vjo_train.weighting.solvers import onto_simplex


class MoCo(ElementwiseWeighting):
    """MGDA on running means of the gradients, one projected step of its weights per batch.

    y_k <- y_k - beta_t (y_k - g_k); w <- Proj(w - gamma_t (Y Y^T / s + rho I) w) onto the simplex; the update is
    K Y^T w. beta_t = beta / t^beta_sigma, gamma_t = gamma / t^gamma_sigma, with t the batches with the task, or in all.
    y_k starts as the first g_k, not as zero. s, the mean of |y_k|^2, makes gamma mean the same for any network; the
    paper has none.

    Scale: the weights sum to K. Heads get their own gradients. Memory: K copies of the shared parameters for Y, saved
    with the checkpoint.

    Args:
        tasks: the names of all heads.
        beta: how fast Y follows the gradients at first.
        beta_sigma: how fast that falls.
        gamma: step size of the weights at first.
        gamma_sigma: how fast that falls.
        rho: pull towards equal weights.
        options: see `Weighting`.
    """

    per_element: ClassVar[tuple[str, ...]] = ("track",)
    track: Tensor
    seen: Tensor
    simplex: Tensor

    def __init__(
        self,
        *,
        beta: Annotated[float, Interval(gt=0, le=1)] = 0.5,
        beta_sigma: Annotated[float, Ge(0)] = 0.5,
        gamma: Annotated[float, Gt(0)] = 0.1,
        gamma_sigma: Annotated[float, Ge(0)] = 0.5,
        rho: Annotated[float, Ge(0)] = 0.0,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(**options)
        self.beta, self.beta_sigma = beta, beta_sigma
        self.gamma, self.gamma_sigma, self.rho = gamma, gamma_sigma, rho
        k = len(self.tasks)
        self.register_buffer("track", torch.empty(0))
        self.register_buffer("seen", torch.zeros(k, dtype=torch.int64))
        self.register_buffer("simplex", torch.full((k,), 1 / k, dtype=torch.float64))

    def merge(self, rows: list[Tensor], gramian: Tensor, tasks: Sequence[str]) -> tuple[Tensor, Tensor]:
        track, places, k = self.sized("track", rows[0]), self.index(tasks), len(tasks)
        self.seen[places] += 1
        for row, place in zip(rows, places, strict=True):
            count = int(self.seen[place])
            track[place].lerp_(row, 1.0 if count == 1 else self.beta / count**self.beta_sigma)
        products = row_gramian([Row([track[place]]) for place in places])
        products /= products.diagonal().mean().clamp(min=1e-300)
        share = self.simplex[places].sum()
        w = self.simplex[places] / share if share > 0 else torch.full((k,), 1 / k, dtype=torch.float64)
        w = onto_simplex(w - self.gamma / (int(self.calls) + 1) ** self.gamma_sigma * (products @ w + self.rho * w))
        self.simplex[places] = w * share  # the absent tasks keep theirs
        merged = rows[0].zero_()
        for weight, place in zip((k * w).tolist(), places, strict=True):
            merged.add_(track[place], alpha=weight)
        return merged, k * w
