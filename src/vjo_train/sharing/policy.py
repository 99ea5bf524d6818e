"""Policies: which residual blocks a task runs (Sun et al. 2020, "AdaShare")."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vjo_train.errors import ConfigError

Way: TypeAlias = tuple[bool, ...]
"""Which blocks a task runs, from the image on."""


class Policy(nn.Module):
    """One task's log-odds of running each of L blocks.

    Args:
        blocks: L.
        start: the log-odds at the start.
        lr_factor: see `vjo_train.optim.optimizers.OwnRate`.
    """

    def __init__(self, blocks: int, start: float, lr_factor: float) -> None:
        super().__init__()
        self.lr_factor = lr_factor
        self.logits = nn.Parameter(torch.full((blocks,), start))

    def decided(self) -> Way:
        """Which blocks the task runs: those that it rather runs than not."""
        return tuple((self.logits.detach() > 0).tolist())


def relaxed(logits: Tensor, noise: Tensor, temperature: float) -> Tensor:
    """A sample of how far each block is run, in 0..1: Gumbel-softmax of two choices, by the difference of their noise.

    softmax((log a + g) / T) over (run, skip) is sigmoid((logit + g_run - g_skip) / T), and g_run - g_skip is logistic.

    Args:
        logits: log-odds [L].
        noise: [L], logistic.
        temperature: T.
    """
    return torch.sigmoid((logits + noise) / temperature)


def logistic_noise(key: Sequence[int], count: int) -> Tensor:
    """[count] float32 draws, a function of `key` alone: the same on every rank and in every part of a batch."""
    uniform = np.random.default_rng(list(key)).uniform(1e-6, 1 - 1e-6, count)
    return torch.from_numpy(np.log(uniform) - np.log1p(-uniform)).float()


def annealed(progress: float, first: float, last: float) -> float:
    """The temperature after a share `progress` of the search: from `first` to `last`, by equal factors."""
    return float(first * (last / first) ** min(1.0, max(0.0, progress)))


def sparsity(policies: Mapping[str, Tensor]) -> Tensor:
    """The mean of log P(run) over tasks and blocks: lower where fewer blocks are run. 0 or less."""
    return torch.stack([F.logsigmoid(logits) for logits in policies.values()]).mean()


def disagreement(policies: Mapping[str, Tensor]) -> Tensor:
    """The mean over pairs of tasks and blocks of (L - l) / L |P_i(run l) - P_j(run l)|, l = 0 the block at the image.

    Early blocks count most: there sharing saves most. 0 for one task.
    """
    chances = [logits.sigmoid() for logits in policies.values()]
    if len(chances) < 2:
        return chances[0].sum() * 0
    count = len(chances[0])
    weight = torch.arange(count, 0, -1, device=chances[0].device) / count
    return torch.stack([(weight * (a - b).abs()).mean() for a, b in combinations(chances, 2)]).mean()


def key_of(progress: float) -> int:
    """A whole number for a share of training, another one for every other."""
    return int(math.ldexp(progress, 52))


def run_figures(policies: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The share of the blocks that each task would run."""
    return {f"run/{task}": (logits.detach() > 0).float().mean() for task, logits in policies.items()}


def checked(
    policy: Mapping[str, Sequence[int]], tasks: Sequence[str], absent: Sequence[str], blocks: int
) -> dict[str, Way]:
    """A policy that is given, for `tasks`.

    Raises:
        ConfigError: see `AdaShare`.
    """
    for task in policy:
        if task not in (*tasks, *absent):
            raise ConfigError(f"sharing.policy.{task}: there is no such head; the heads are {', '.join(tasks)}.")
    for task in tasks:
        given = list(policy.get(task, ()))
        if len(given) != blocks or not set(given) <= {0, 1}:
            raise ConfigError(
                f"sharing.policy.{task}: found {given}; must be a list of {blocks} times 1 (run) or 0 (skip), for each"
                " residual block of the backbone."
            )
    return {task: tuple(run == 1 for run in policy[task]) for task in tasks}
