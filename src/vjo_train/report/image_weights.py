"""`image_weights.csv`: what each image counted for each task, the least first."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from vjo_train.files import write_atomically
from vjo_train.training.module import MultiTaskModule
from vjo_train.types import Batch
from vjo_train.weighting.jacobian import distributed

COLUMNS = ("task", "image", "weight")


class ImageWeights(pl.Callback):
    """Writes, after each epoch, the weight that every labelled image had when the epoch last saw it.

    Only for weightings that tell images apart. Each epoch replaces the file. On a resume, what the begun epoch has
    seen so far is kept.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._last: dict[tuple[str, str], float] = {}

    def state_dict(self) -> dict[str, Any]:
        """What the running epoch has seen: (task, image) -> weight, of all ranks, which must all call this."""
        return {"last": self._gathered()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if not distributed() or torch.distributed.get_rank() == 0:  # one rank keeps it for all
            self._last = dict(state_dict["last"])

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._last = {}

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, MultiTaskModule)
        for task, weights in pl_module.weighting.image_weights.items():
            found = zip(pl_module.trained_ids, weights.tolist(), strict=True)
            self._last |= {(task, image): weight for image, weight in found if weight == weight}

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        last = self._gathered()
        if trainer.is_global_zero and last:
            write_atomically(self.path, to_csv(last))

    def _gathered(self) -> dict[tuple[str, str], float]:
        if not distributed():
            return self._last
        parts: list[Any] = [None] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(parts, self._last)
        return {key: weight for part in parts for key, weight in part.items()}


def to_csv(weights: dict[tuple[str, str], float]) -> str:
    """(task, image) -> weight, as a table by task and weight."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for (task, image), weight in sorted(weights.items(), key=lambda item: (item[0][0], item[1], item[0][1])):
        writer.writerow((task, image, f"{weight:.7g}"))
    return text.getvalue()
