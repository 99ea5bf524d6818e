"""FAMO (Liu et al. 2023, "FAMO: Fast Adaptive Multitask Optimization")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Unpack

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from vjo_train.weighting.adam import adam
from vjo_train.weighting.base import LossWeighting, Options


class FAMO(LossWeighting):
    """Keeps the rates at which the log losses fall equal: weights ~ z_k / L_k, z = softmax(logits).

    The logits follow delta_k = log L_k(before) - log L_k(after the update), by Adam: their gradient is that of
    sum_k z_k delta_k, so that a task which falls slowly gains weight.

    The paper evaluates the same batch a second time after the update. Here the losses of the NEXT batch stand for that:
    no second forward, at the price of the noise between batches. A caller that has the true ones gives them to
    `observe`, and then those are used. Only tasks known before and after move.

    Scale: the weights of the present tasks sum to their number (the paper's sum to 1). Heads are weighted like the
    shared parameters.

    Args:
        tasks: the names of all heads.
        lr: Adam's learning rate of the logits.
        weight_decay: pull of the logits towards 0, so of the weights towards equal.
        options: see `Weighting`.
    """

    logits: Tensor
    before: Tensor
    mean: Tensor
    square: Tensor
    count: Tensor

    def __init__(
        self,
        *,
        lr: Annotated[float, Gt(0)] = 0.025,
        weight_decay: Annotated[float, Ge(0)] = 0.001,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(**options)
        self.lr, self.weight_decay = lr, weight_decay
        k = len(self.tasks)
        self.register_buffer("before", torch.full((k,), float("nan"), dtype=torch.float64))  # of the last batch
        for name in ("logits", "mean", "square"):
            self.register_buffer(name, torch.zeros(k, dtype=torch.float64))
        self.register_buffer("count", torch.zeros(k, dtype=torch.int64))

    def weights(self, values: Tensor, tasks: Sequence[str], epoch: int) -> Tensor:
        self.observe(dict(zip(tasks, values, strict=True)))
        places = self.index(tasks)
        self.before.fill_(float("nan"))
        self.before[places] = values
        logs = values.clamp(min=1e-8).log()
        return len(tasks) * (self.logits[places].log_softmax(0) - logs).softmax(0)

    def observe(self, values: Mapping[str, Tensor]) -> None:
        """Takes one step of the logits from the losses after the update; the losses before are then used up."""
        places = [i for i in self.index(list(values)) if not self.before[i].isnan()]
        if len(places) > 1:
            after = torch.stack([values[self.tasks[i]].cpu().double() for i in places])
            delta = self.before[places].clamp(min=1e-8).log() - after.clamp(min=1e-8).log()
            z = self.logits[places].softmax(0)
            self._adam(places, z * (delta - z @ delta) + self.weight_decay * self.logits[places])
        self.before.fill_(float("nan"))

    def _adam(self, places: list[int], slope: Tensor) -> None:
        self.count[places] += 1
        direction, self.mean[places], self.square[places] = adam(
            slope, self.mean[places], self.square[places], self.count[places]
        )
        self.logits[places] -= self.lr * direction
