"""Weights that the user gives."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Unpack

import torch
from annotated_types import Ge
from torch import Tensor

from vjo_train.errors import ConfigError
from vjo_train.weighting.base import LossWeighting, Options


class FixedWeighting(LossWeighting):
    """The same weight at every step: L = sum_k lambda_k L_k.

    Scale: as given, not normalised. Heads are weighted like the shared parameters.

    Args:
        tasks: the names of all heads.
        lambdas: task -> weight >= 0; tasks left out weigh 1, null means all of them. Where a head has
            `split_losses`, its parts are tasks: `{classification: 1, instance/box: 2}`.
        options: see `Weighting`.

    Raises:
        ConfigError: for an unknown task, or a weight that is negative or not finite.
    """

    def __init__(
        self, *, lambdas: Mapping[str, Annotated[float, Ge(0)]] | None = None, **options: Unpack[Options]
    ) -> None:
        super().__init__(**options)
        given, known = dict(lambdas or {}), ", ".join(self.tasks)
        for task, value in given.items():
            if task not in self.tasks:
                raise ConfigError(f"weighting.lambdas: no task is called `{task}`; the tasks are {known}.")
            if not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"weighting.lambdas.{task} should be a finite number >= 0. Found {value}.")
        self.lambdas = [float(given.get(task, 1.0)) for task in self.tasks]

    def weights(self, values: Tensor, tasks: Sequence[str], epoch: int) -> Tensor:
        return torch.tensor([self.lambdas[i] for i in self.index(tasks)], dtype=torch.float64)
