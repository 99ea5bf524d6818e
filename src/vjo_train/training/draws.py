"""The random numbers of a step, and forwards beside its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from vjo_train.training.gradient_checks import GradientChecks


class SeededDraws(GradientChecks):
    """Draws by the number of a batch and the rank, so that a resumed run draws what it would have drawn.

    Attributes:
        seed: of all draws.
    """

    seed: int

    @property
    def share_done(self) -> float:
        """The share of training that is done, by the number of steps alone."""
        return min(1.0, self.trainer.global_step / self.trainer.estimated_stepping_batches)

    def draw_as(self, *key: int) -> None:
        """Lets the random numbers start where those of `key` do, each rank at its own place."""
        words = np.random.SeedSequence([self.seed, *key, self.global_rank]).generate_state(2)
        # torch's own function takes down a stack trace for each GPU library that is not in use.
        generator = torch.default_generator if self.device.type == "cpu" else torch
        generator.manual_seed(int(words[0]) << 32 | int(words[1]))

    @contextmanager
    def statistics_kept(self) -> Iterator[None]:
        """Inside, BatchNorms take the batch's own statistics, but do not count them in."""
        norms = [m for m in self.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training]
        counting = [norm for norm in norms if norm.track_running_stats]
        for norm in counting:
            norm.track_running_stats = False
        try:
            yield
        finally:
            for norm in counting:
                norm.track_running_stats = True

    @contextmanager
    def beside(self, *key: int) -> Iterator[None]:
        """Beside the training step's own forward: counts no statistics, and draws as `key` says."""
        devices = [self.device] if self.device.type == "cuda" else []
        with self.statistics_kept(), torch.random.fork_rng(devices=devices):
            self.draw_as(*key)
            yield
