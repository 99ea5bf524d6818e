"""What asks a run to stop: finish the step, save, say how to go on."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from vjo_train.runs import run_folder
from vjo_train.training.signals import Listener

log = logging.getLogger("vjo_train")

STEP = "this step"


class Interruption(pl.Callback):
    """On the first signal, stops training after the running step, or at the end of its epoch, with `path` saved; on
    the second, at once.

    Several ranks stop after the same step, the first that any of them was asked in or before.

    Args:
        path: the checkpoint to write, in the folder `checkpoints` of the run's folder.
        listener: hears the signals.

    Raises:
        Stopped: once the checkpoint is written.
    """

    def __init__(self, path: Path, listener: Listener) -> None:
        self.path = path
        self.listener = listener

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self.listener.listen()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.listener.listen()
        self.listener.wait = STEP

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

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.listener.wait is not None:
            self.listener.wait = f"the validation that ends epoch {trainer.current_epoch + 1}"
            if self.listener.asked:
                log.warning("Stopping after %s; once more to stop at once.", self.listener.wait)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.listener.wait = STEP
        if self._agreed(trainer):
            self._stop()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.listener.wait = None
        if self._agreed(trainer):
            self._stop()

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.listener.listen()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self.listener.wait = None

    def _agreed(self, trainer: pl.Trainer) -> bool:
        """Whether any rank was asked to stop; all ranks must call this at the same places."""
        return trainer.strategy.reduce_boolean_decision(self.listener.asked, all=False)

    def _stop(self) -> None:
        self.listener.stop(f"Stopped; {same_command(self.path.parent.parent)} goes on from here.")


def what_is_left(output: Path) -> str:
    """The end of a sentence: what a run that was stopped at once goes on from."""
    if (output / run_folder.RESULTS).is_file():
        return f"; the test is done, and vjo-report run='{output}' writes its page."
    if any(path.is_file() for path in run_folder.last_checkpoints(output)):
        return f"; {same_command(output)} goes on from the last checkpoint."
    return ", before the first checkpoint."


def same_command(output: Path) -> str:
    """How to go on with the run in `output`."""
    key, folder = "hydra.run.dir", str(output)
    if HydraConfig.initialized() and HydraConfig.get().mode is RunMode.MULTIRUN:
        key, folder = "hydra.sweep.dir", str(Path(HydraConfig.get().sweep.dir).absolute())
    return f"the same command with {key}='{folder}' trainer.resume=auto"
