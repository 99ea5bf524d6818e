"""Ctrl-C, SIGTERM, SIGUSR1 and SIGUSR2: finish the step, save, say how to go on."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import pytorch_lightning as pl
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from vjo_train.data.loading import STOPPING
from vjo_train.runs import run_folder

log = logging.getLogger("vjo_train")

SIGNALS = [getattr(signal, name) for name in STOPPING if hasattr(signal, name)]
"""SIGUSR1 is what `sbatch --signal=USR1@120` sends before a job's time is over, SIGUSR2 what submitit has sent then;
Windows has neither."""


REQUEUED = "SIGUSR2"
"""After this signal, what listened to it before the run has its turn once the run is saved."""


class Stopped(SystemExit):
    """The run stopped as asked, with a checkpoint to go on from where there is one; exit status 130."""


class Interruption(pl.Callback):
    """On the first signal, stops training after the running step, or at the end of its epoch, with `path` saved; on
    the second, at once. A test is stopped at once: the training before it is saved.

    Several ranks stop after the same step, the first that any of them was asked in or before.

    Args:
        path: the checkpoint to write, in the folder `checkpoints` of the run's folder.

    Raises:
        Stopped: in training, once the checkpoint is written; in a test, at once.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._asked = False
        self._training = False
        self._previous: dict[int, Any] = {}
        self._requeue: Callable[[], None] | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._training = True
        self._listen()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # Between two steps of the optimizer: half-gathered gradients are in no checkpoint. After the last batch of an
        # epoch, or of all, the epoch is ended first, with its validation and its own checkpoint.
        last = trainer.is_last_batch or 0 < trainer.max_steps <= trainer.global_step
        between = not last and (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if between and self._agreed(trainer):
            trainer.save_checkpoint(self.path)
            self._stop()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._agreed(trainer):
            self._stop()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        asked = self._agreed(trainer)
        if asked:
            self._stop()
        self._restore()

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._training = False
        self._listen()

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._restore()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._restore()

    def _agreed(self, trainer: pl.Trainer) -> bool:
        """Whether any rank was asked to stop; all ranks must call this at the same places."""
        return trainer.strategy.reduce_boolean_decision(self._asked, all=False)

    def _stop(self) -> NoReturn:
        log.warning("Stopped; %s goes on from here.", self._same_command())
        self._end()

    def _end(self) -> NoReturn:
        self._restore()
        if self._requeue is not None:
            self._requeue()
        raise Stopped(130)

    def _same_command(self) -> str:
        key, folder = "hydra.run.dir", str(self.path.parent.parent)
        if HydraConfig.initialized() and HydraConfig.get().mode is RunMode.MULTIRUN:
            key, folder = "hydra.sweep.dir", str(Path(HydraConfig.get().sweep.dir).absolute())
        return f"the same command with {key}='{folder}' trainer.resume=auto"

    def _listen(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._ask) for number in SIGNALS}

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    def _ask(self, number: int, frame: FrameType | None) -> None:
        name, before = signal.Signals(number).name, self._previous.get(number)
        if name == REQUEUED and callable(before):  # submitit puts the job into the queue again, and ends it
            self._requeue = partial(before, number, frame)
        if self._asked or not self._training:
            if any(path.is_file() for path in run_folder.last_checkpoints(self.path.parent.parent)):
                log.warning("Stopped at once (%s); %s goes on from the last checkpoint.", name, self._same_command())
            else:
                log.warning("Stopped at once (%s), before the first checkpoint.", name)
            self._end()
        self._asked = True
        log.warning("Stopping after this step (%s); once more to stop at once.", name)
