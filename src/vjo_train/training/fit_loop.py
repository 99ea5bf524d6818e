"""Lightning's loop over epochs, which a run with a limit of steps goes on with like any other."""

from __future__ import annotations

import pytorch_lightning as pl
from pytorch_lightning.loops.fit_loop import _FitLoop


class FitLoop(_FitLoop):
    """Lightning 2.6 takes every checkpoint of a run with `max_steps` for one inside an epoch.

    Going on from the end of an epoch, such a run trained a batch of that epoch once more.
    """

    def _iteration_based_training(self) -> bool:
        return False


def resumable(trainer: pl.Trainer) -> pl.Trainer:
    """The trainer, with this loop in the place of its own."""
    loop = FitLoop(trainer, trainer.fit_loop.min_epochs, trainer.fit_loop.max_epochs)
    loop.epoch_loop = trainer.fit_loop.epoch_loop
    trainer.fit_loop = loop
    return trainer
