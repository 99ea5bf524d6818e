"""One task at a time, drawn by how many images are labelled for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Annotated

import numpy as np
from annotated_types import Ge

from vjo_train.schedules.base import Schedule


class Proportional(Schedule):
    """Proportional sampling (Sanh, Wolf, Ruder 2019): each step trains one task, which is drawn anew.

    A task's probability is its share of the labelled images: n_k / sum_j n_j, with n_k the images of the training split
    that are labelled for task k. So an image is as likely to be used for one task that it is labelled for as for
    another, and a task of few images does not go through them time and again. The draw is a function of (seed, step).

    As under `alternating`, the heads of the other tasks get no gradient at all.

    Args:
        tasks: the names of all heads.
        seed: of the draws.
    """

    def __init__(self, *, tasks: Sequence[str], seed: Annotated[int, Ge(0)] = 0) -> None:
        super().__init__(tasks=tasks)
        self.seed = seed
        self._bounds: list[int] = []

    def set_counts(self, labelled: Mapping[str, int]) -> None:
        self._bounds = list(accumulate(labelled[task] for task in self.all_tasks))

    def tasks(self, step: int, epoch: int) -> tuple[str, ...]:
        if not self._bounds:
            raise RuntimeError("Proportional.bind must be called before tasks are asked for.")
        drawn = np.random.default_rng([self.seed, step, *b"schedule"]).integers(self._bounds[-1])
        return (self.all_tasks[int(np.searchsorted(self._bounds, drawn, side="right"))],)
