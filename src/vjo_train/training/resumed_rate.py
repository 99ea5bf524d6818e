"""The learning rate of a run that is resumed with more steps than it was planned for."""

from __future__ import annotations

import logging
from typing import Any, Literal

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from vjo_train.training.module import MultiTaskModule

log = logging.getLogger("vjo_train")


class ResumedRate(Callback):
    """Lets the schedule end where it was planned to, or stretches it, and says so.

    Args:
        choice: `stay`: beyond the planned end the learning rate keeps the schedule's last value; `stretch`: the
            schedule is that of the whole training, so that the rate jumps to where it would be by now.
    """

    def __init__(self, choice: Literal["stay", "stretch"]) -> None:
        self.choice = choice
        self.planned: int | None = None
        """Optimizer steps over which the schedule of the run lies; None: those of this training."""

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["lr_steps"] = self.planned or int(trainer.estimated_stepping_batches)

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self.planned = checkpoint.get("lr_steps")

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, MultiTaskModule)
        whole, planned, self.planned = int(trainer.estimated_stepping_batches), self.planned, None
        if planned is None or planned >= whole:
            return
        step = trainer.global_step
        before, after = (pl_module.lr_factor(step, total) for total in (planned, whole))
        if self.choice == "stay":
            self.planned = pl_module.lr_steps = planned
            what = f"stays at the schedule's end, {pl_module.lr_factor(planned, planned):.3g}"
            other = f"stretch lays the schedule over all of them, from {after:.3g} on"
        else:
            what = f"goes on at {after:.3g} in place of {before:.3g}"
            other = "stay keeps what the schedule ended with"
        if trainer.is_global_zero:
            log.info(
                "trainer.resume_lr=%s: training was planned for %d steps and now has %d; the learning rate %s x"
                " optimizer.lr (%s).",
                *(self.choice, planned, whole, what, other),
            )
