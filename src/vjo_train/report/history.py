"""`metrics.csv`: one row per epoch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from vjo_train.files import write_atomically
from vjo_train.report.throughput import Throughput, learning_rate
from vjo_train.runs.epochs import Row, read_history, rows_before, to_csv
from vjo_train.training.step_log import StepLog


class History(pl.Callback):
    """Writes a row after each epoch: means of what was logged in training, validation figures, speed.

    A cell is empty where an epoch has no such figure: a task that was off, or an epoch without validation. On a
    resume, rows of the epochs that are run again are dropped, and the means of a begun epoch go on, so that the file
    ends as if nothing had been stopped (apart from the time columns). A fresh run starts a fresh file.

    Args:
        path: the file.
        throughput: measures this run; must stand before this callback.

    Raises:
        CheckpointError: on a resume, if the file is not such a table.
    """

    def __init__(self, path: Path, throughput: Throughput) -> None:
        self.path = path
        self.throughput = throughput
        self._rows: list[Row] = []
        self._before: dict[str, Tensor] = {}
        self._sums: dict[str, tuple[Tensor, int]] = {}

    def state_dict(self) -> dict[str, Any]:
        """The sums of the running epoch: name -> (sum, count)."""
        return {"sums": dict(self._sums)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._sums = dict(state_dict["sums"])

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        resumed = trainer.global_step > 0 and self.path.is_file()
        self._rows = read_history(self.path) if resumed and trainer.is_global_zero else []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # A figure that this epoch does not compute anew keeps its tensor: that is how old ones are told apart.
        self._before = dict(trainer.callback_metrics)
        self._sums = {}

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, StepLog)
        for name, (value, size) in pl_module.logged.items():
            total, count = self._sums.get(name, (0.0, 0))
            self._sums[name] = (total + size * torch.as_tensor(value, device=pl_module.device).float(), count + size)
        pl_module.logged.clear()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # Reading may reduce over the ranks, so all of them read.
        metrics = dict(trainer.callback_metrics)
        fresh = {name: value for name, value in metrics.items() if value is not self._before.get(name)}
        fresh |= {name: total / count for name, (total, count) in self._sums.items()}
        speed = self.throughput.epoch
        # A checkpoint of an epoch's end makes Lightning end that epoch once more, without a step.
        if not trainer.is_global_zero or speed.images == 0:
            return
        values: dict[str, Any] = {
            "epoch": trainer.current_epoch,
            "step": trainer.global_step,
            "train/lr": learning_rate(trainer),
            **{name: float(value) for name, value in fresh.items() if not _is_fork(name, metrics)},
            "images_per_second": round(speed.images_per_second, 2),
            "data_wait": round(speed.data_wait, 4),
            "seconds": round(self.throughput.epoch_seconds, 3),
        }
        row = {name: _cell(value) for name, value in values.items()}
        self._rows = [*rows_before(self._rows, trainer.current_epoch), row]
        write_atomically(self.path, to_csv(self._rows))


def _is_fork(name: str, metrics: Mapping[str, Tensor]) -> bool:
    """Whether `name` is Lightning's second name of a metric that is logged by step and by epoch."""
    base = name.removesuffix("_step").removesuffix("_epoch")
    return base != name and base in metrics


def _cell(value: int | float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.7g}"
