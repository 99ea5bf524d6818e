"""What a checkpoint says of itself besides weights: the heads' class names, and what the run started from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from rich.console import Console


class Provenance(Callback):
    """Says at the start what was taken of `start_from`, and writes it and the class names into every checkpoint.

    Args:
        classes: head -> its class names, in its order.
        started: what the run started from; a resumed run gets here what its checkpoint says.
        lines: of what is said at the start.
    """

    def __init__(self, classes: Mapping[str, Sequence[str]], started: dict[str, Any], lines: Sequence[str]) -> None:
        self.classes = {task: list(names) for task, names in classes.items()}
        self.started, self.lines = started, lines

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["classes"], checkpoint["started_from"] = self.classes, self.started

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self.started.clear()
        self.started.update(checkpoint.get("started_from") or {})
        self.lines = ()

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            for line in self.lines:
                Console().print(line, highlight=False, markup=False, soft_wrap=True)
