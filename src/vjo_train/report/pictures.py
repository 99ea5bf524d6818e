"""Pictures of what the network says, drawn from batches: in the run's folder and to the loggers that take images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from PIL import Image
from pytorch_lightning.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from vjo_train.data.datamodule import DataModule
from vjo_train.data.labels.base import Kind
from vjo_train.report.drawing import draw_batch
from vjo_train.training.evaluation import Evaluation
from vjo_train.types import Batch

FOLDER = "val_predictions"


class ValidationPictures(pl.Callback):
    """Draws the first validation images, prediction beside truth, at each validation: `val_predictions/epoch=NN.png`.

    With several ranks they are the first images of rank 0's share. Only the first batch is looked at.

    Args:
        output: the run's folder.
        kinds: what draws the ground truth.
        classes: the names of the classes.
        limit: how many images at most.
    """

    def __init__(self, output: Path, kinds: Sequence[Kind], classes: Sequence[str], limit: int) -> None:
        self.folder = output / FOLDER
        self.kinds, self.classes = tuple(kinds), tuple(classes)
        self.limit = limit

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if batch_idx or not trainer.is_global_zero:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"epoch={trainer.current_epoch:02d}.png"
        assert isinstance(pl_module, Evaluation)
        picture = draw(batch, outputs, pl_module, self.kinds, self.classes, self.limit)
        picture.save(path)
        for logger in trainer.loggers:
            log_picture(logger, picture, path, trainer.global_step)


def draw(
    batch: Batch,
    predictions: Mapping[str, Sequence[Any]],
    module: Evaluation,
    kinds: Sequence[Kind],
    classes: Sequence[str],
    limit: int = 8,
) -> Image.Image:
    """The first `limit` images of an evaluation batch, with task -> predictions as they come from the module."""
    found = {task: [prediction.to("cpu") for prediction in known[:limit]] for task, known in predictions.items()}
    heads = {task: module.measures(task) for task in found}
    return draw_batch(batch.to("cpu"), found, heads, kinds, classes, limit=limit)


def draw_first(path: Path, module: Evaluation, data: DataModule, batch: Batch) -> None:
    """Draws the first images of a test batch with what the network says of them and what is true."""
    with torch.no_grad():
        found = module.predict(batch.to(module.device))
    draw(batch, found, module, data.source.kinds, data.classes).save(path)


def log_picture(logger: Logger, picture: Image.Image, path: Path, step: int) -> None:
    """Hands a picture, which also lies at `path`, to a logger; nothing where the logger takes no images."""
    match logger:
        case TensorBoardLogger():
            logger.experiment.add_image("val/predictions", np.asarray(picture), step, dataformats="HWC")
        case WandbLogger():
            logger.log_image("val/predictions", [picture], step)
        case MLFlowLogger():
            logger.experiment.log_artifact(logger.run_id, str(path), FOLDER)
