"""Ends training where the monitored metric no longer gets better."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping


class Patience(EarlyStopping):
    """Lightning's early stopping, such that a run resumed after it had decided to stop does not train on.

    Args:
        monitor: the metric.
        patience: validations without a better one after which training ends.
        higher: whether the metric is better the higher it is.
    """

    def __init__(self, monitor: str, patience: int, higher: bool = True) -> None:
        # After the validation: the end of an epoch, where a checkpoint is saved, comes once more when it is resumed.
        mode = "max" if higher else "min"
        super().__init__(monitor, patience=patience, mode=mode, check_on_train_epoch_end=False)
        self._decided = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.should_stop = trainer.should_stop or self._decided

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "decided": self._decided}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._decided = state_dict["decided"]

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_validation_end(trainer, pl_module)
        self._decided = trainer.should_stop
