"""GradVac (Wang et al. 2021, "Gradient Vaccine: Investigating and Improving Multi-task Optimization")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Unpack

import torch
from annotated_types import Ge, Interval
from torch import Tensor

from vjo_train.weighting.gradients import GradientOptions, GradientWeighting
from vjo_train.weighting.random_order import generator, orders


def gradvac_weights(
    gramian: Tensor, targets: Tensor, beta: float, orders: Sequence[Sequence[int]]
) -> tuple[Tensor, Tensor]:
    """G [K, K], target cosines [K, K], and each task's order of meeting the others -> weights [K], new targets.

    Where the cosine phi of g_i' and g_j is below its target t, g_i' gains
    |g_i'| (t sqrt(1 - phi^2) - phi sqrt(1 - t^2)) / (|g_j| sqrt(1 - t^2)) g_j, which makes the cosine t. Then
    t <- (1 - beta) t + beta phi. A pair with a zero gradient is passed over.
    """
    parts, targets = torch.eye(len(gramian), dtype=gramian.dtype), targets.clone()
    for i, order in enumerate(orders):
        part = parts[i]
        for j in order:
            mine, other = (part @ gramian @ part).clamp(min=0).sqrt(), gramian[j, j].sqrt()
            if mine * other == 0:
                continue
            phi, target = (gramian[j] @ part / (mine * other)).clamp(-1, 1), targets[i, j].clone()
            if phi < target:
                rest = (1 - target**2).sqrt()
                part[j] += mine * (target * (1 - phi**2).sqrt() - phi * rest) / (other * rest)
            targets[i, j] = (1 - beta) * target + beta * phi
    return parts.sum(0), targets


class GradVac(GradientWeighting):
    """Turns gradients towards each other until their cosines reach running targets, then sums; PCGrad at targets 0.

    The whole of the shared parameters is one group, so one target per ordered pair of tasks.

    Scale: weights are 1 where no cosine is below its target, as under `equal`. Heads get their own gradients.

    Args:
        tasks: the names of all heads.
        beta: how fast the targets follow the cosines seen.
        seed: decides the random order.
        options: see `GradientWeighting`.
    """

    targets: Tensor

    def __init__(
        self,
        *,
        beta: Annotated[float, Interval(ge=0, le=1)] = 0.01,
        seed: Annotated[int, Ge(0)] = 0,
        **options: Unpack[GradientOptions],
    ) -> None:
        super().__init__(**options)
        self.beta, self.seed = beta, seed
        self.register_buffer("targets", torch.zeros(len(self.tasks), len(self.tasks), dtype=torch.float64))

    def weights(self, gramian: Tensor, values: Tensor, tasks: Sequence[str]) -> Tensor:
        places = torch.tensor(self.index(tasks))
        block = (places[:, None], places)
        order = orders(len(tasks), generator(self.seed, self.calls))
        weights, self.targets[block] = gradvac_weights(gramian, self.targets[block], self.beta, order)
        return weights
