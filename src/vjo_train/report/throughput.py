"""How fast training goes, and how much of its time it waits for data."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from torch.utils.flop_counter import FlopCounterMode

from vjo_train.training.evaluation import Evaluation
from vjo_train.types import Batch

RECENT = 50
"""The number of steps that the figures of the progress bar look back on."""


@dataclass(frozen=True)
class Span:
    """A stretch of training, validation left out."""

    images: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    """Seconds between the end of a step and the start of the next one."""

    def __add__(self, other: Span) -> Span:
        return Span(self.images + other.images, self.seconds + other.seconds, self.waited + other.waited)

    @property
    def images_per_second(self) -> float:
        """Images of all ranks per second of training; NaN before the first step."""
        return self.images / self.seconds if self.seconds > 0 else float("nan")

    @property
    def data_wait(self) -> float:
        """The share (0..1) of the time that went into waiting for data; NaN before the first step."""
        return self.waited / self.seconds if self.seconds > 0 else float("nan")


def total(spans: Iterable[Span]) -> Span:
    """All of `spans` as one."""
    return sum(spans, Span())


class Throughput(pl.Callback):
    """Measures steps on the host's clock; place it first among the callbacks, so that theirs is not its time.

    Waiting is the time from `on_train_batch_end` to the next `on_train_batch_start`, with the copy to the device.
    On a GPU the host runs ahead of the device, so there it is an upper bound of what the device waits.
    The sums over the run are part of checkpoints: after a resume they cover the earlier part too.

    Args:
        clock: seconds from any origin.

    Attributes:
        recent: the last `RECENT` steps.
        epoch: the current epoch.
        run: the whole run.
        wall_seconds: from the start of fitting, validation and checkpoints included.
        epoch_seconds: the same from the start of the epoch.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._steps: deque[Span] = deque(maxlen=RECENT)
        self._mark = self._fit_start = self._epoch_start = clock()
        self._step_start = self._mark
        self._paused = self._mark
        self._earlier_wall = 0.0
        self._fitting = False
        self.epoch = Span()
        self.run = Span()

    @property
    def recent(self) -> Span:
        return total(self._steps)

    @property
    def wall_seconds(self) -> float:
        return self._earlier_wall + (self._clock() - self._fit_start if self._fitting else 0.0)

    @property
    def epoch_seconds(self) -> float:
        return self._clock() - self._epoch_start

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._fit_start = self._clock()
        self._fitting = True

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._stop()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # Lightning leaves out on_train_epoch_start when it resumes inside an epoch.
        self._begin_epoch()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._begin_epoch()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        self._step_start = self._clock()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        now = self._clock()
        step = Span(len(batch) * trainer.world_size, now - self._mark, self._step_start - self._mark)
        self._steps.append(step)
        self.epoch += step
        self.run += step
        self._mark = now

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._paused = self._clock()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._mark += self._clock() - self._paused

    def state_dict(self) -> dict[str, float]:
        run = self.run
        return {
            "images": run.images,
            "seconds": run.seconds,
            "waited": run.waited,
            "wall_seconds": self.wall_seconds,
        }

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        self.run = Span(int(state_dict["images"]), state_dict["seconds"], state_dict["waited"])
        self._earlier_wall = state_dict["wall_seconds"]

    def _begin_epoch(self) -> None:
        self._mark = self._epoch_start = self._clock()
        self.epoch = Span()

    def _stop(self) -> None:
        self._earlier_wall = self.wall_seconds
        self._fitting = False


def inference_speed(module: Evaluation, batch: Batch, repeats: int = 5) -> float:
    """Images per second of forward and decoding, from the quickest of `repeats` passes after one to warm up."""
    batch = batch.to(module.device)
    times = []
    with torch.no_grad():
        for _ in range(repeats + 1):
            start = time.perf_counter()
            module.predict(batch)
            if module.device.type == "cuda":
                torch.cuda.synchronize(module.device)
            times.append(time.perf_counter() - start)
    return len(batch) / min(times[1:])


def inference_flops(module: Evaluation, batch: Batch) -> float:
    """Floating-point operations of forward and decoding of the batch's first image; NaN of no image.

    Those of convolutions and matrix products, a multiplication and its addition being two, as torch counts them.
    """
    if not len(batch):
        return float("nan")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module.predict(batch.first(1).to(module.device))
    return float(counter.get_total_flops())


def learning_rate(trainer: pl.Trainer) -> float:
    """The learning rate of the last parameter group: the heads', whose factor is 1."""
    return float(trainer.optimizers[0].param_groups[-1]["lr"])
