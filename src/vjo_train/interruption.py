"""Ctrl-C and SIGTERM: finish the step, save, say how to go on."""

from __future__ import annotations

import logging
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl

log = logging.getLogger("vjo_train")


class Stopped(SystemExit):
    """Training stopped as asked, with a checkpoint to go on from; ends the process with status 130."""


class Interruption(pl.Callback):
    """On the first SIGINT or SIGTERM, stops after the running step, or at the end of its epoch, with `path` saved;
    on the second, at once.

    Args:
        path: the checkpoint to write.

    Raises:
        Stopped: in training, once the checkpoint is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._asked = False
        self._previous: dict[int, Any] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # Between two steps of the optimizer: half-gathered gradients are in no checkpoint. After an epoch's last
        # batch the epoch is ended first, with its validation and its own checkpoint.
        if self._asked and not trainer.is_last_batch and (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            trainer.save_checkpoint(self.path)
            self._stop()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._asked:
            self._stop()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._restore()
        if self._asked:
            self._stop()

    def _stop(self) -> None:
        log.warning("Stopped; trainer.resume=%s goes on from here.", self.path)
        raise Stopped(130)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
        log.warning("Stopping after this step (%s); once more to stop at once.", signal.Signals(number).name)
