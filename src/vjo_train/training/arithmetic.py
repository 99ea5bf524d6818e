"""What a training costs in floating-point operations, counted in its first steps."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace
from statistics import fmean
from typing import Any

import pytorch_lightning as pl
from torch.utils.flop_counter import FlopCounterMode

from vjo_train.report.throughput import Throughput
from vjo_train.training.failures import explained
from vjo_train.training.job import Job
from vjo_train.training.trainer import build_trainer

COUNTED = 12
"""Steps that are counted: a weighting may look at its gradients every second, third, fourth, .. one."""


class StepFlops(pl.Callback):
    """Counts the operations of each step: forward and every backward, of convolutions and matrix products.

    Attributes:
        counts: of the last `COUNTED` steps.
    """

    def __init__(self) -> None:
        self.counts: deque[float] = deque(maxlen=COUNTED)
        self._counter = FlopCounterMode(display=False)

    def on_train_batch_start(self, *_: Any) -> None:
        self._counter = FlopCounterMode(display=False)
        self._counter.__enter__()  # type: ignore[no-untyped-call]

    def on_train_batch_end(self, *_: Any) -> None:
        self._counter.__exit__(None, None, None)  # type: ignore[no-untyped-call]
        self.counts.append(float(self._counter.get_total_flops()))


def epoch_flops(job: Job) -> float:
    """Floating-point operations of an epoch of a run, from a short training of it that writes nothing.

    The mean of the first `COUNTED` steps that cost what later ones do, times the steps of an epoch.

    Raises:
        VjoError: as a training.
    """
    weighting, counter = job.module.weighting, StepFlops()
    steps = 1 + weighting.calibrates + COUNTED
    length = job.settings.accumulate_grad_batches
    with explained(job.data, job.output):
        job.data.prepare_data()
        job.data.setup("fit")
        batches = job.data.plan.steps_per_epoch
        epochs = math.ceil(steps / batches)
        job.settings = replace(
            job.settings, devices=1, num_nodes=1, max_epochs=epochs, max_steps=math.ceil(steps / length),
            check_val_every_n_epoch=epochs + 1, progress=False, resume=None, ema=None,
        )  # fmt: skip
        job.loggers = []
        weighting.prepare(job.module.trained_together())
        build_trainer(job, Throughput(), [counter]).fit(job.module, datamodule=job.data)
    return fmean(counter.counts) * batches
