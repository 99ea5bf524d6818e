"""How often each task has met its labelled images."""

from __future__ import annotations

import pytorch_lightning as pl

from vjo_train.data.datamodule import DataModule


class ImagesSeen(pl.Callback):
    """Logs after each epoch, since the start of training and over all ranks: `train/<task>/images`, the labelled
    images that the task was trained on (one that came twice counts twice), and `train/<task>/passes`, that number by
    the task's labelled images in the training split. A task has done an epoch of its own with each whole pass.

    The plan of the batches tells, so that the figures are exact after a resume.

    Args:
        data: what is trained on.
    """

    def __init__(self, data: DataModule) -> None:
        self.data = data

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        pl_module.log_dict(images_seen(self.data, int(pl_module.batches)))  # type: ignore[arg-type]


def images_seen(data: DataModule, batches: int) -> dict[str, float]:
    """The figures of `ImagesSeen` after the first `batches` batches of training."""
    figures: dict[str, float] = {}
    for task, images in data.plan.seen(batches).items():
        figures[f"train/{task}/images"] = float(images)
        figures[f"train/{task}/passes"] = images / data.plan.labelled[task]
    return figures
