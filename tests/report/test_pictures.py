"""Pictures of validation predictions: the file of each epoch, and what the loggers get."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
from PIL import Image
from pytorch_lightning.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger
from torch.utils.data import DataLoader

from tests import tiny
from vjo_train.data.sources.voc.source import VOC
from vjo_train.report.pictures import ValidationPictures
from vjo_train.types import Batch

TASKS = ("classification", "detection", "semantic", "instance")


def loader(step: int) -> DataLoader[Any]:
    batches: list[Batch] = [tiny.batch(tasks=TASKS, labelled=[tiny.ALL] * 4, step=step)]
    return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]


def train(folder: Path, logger: Logger, epochs: int = 1, limit: int = 2) -> None:
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=logger,
        callbacks=[ValidationPictures(folder, VOC.kinds, ("red", "green", "blue"), limit)],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=folder,
    )
    trainer.fit(tiny.module(TASKS), loader(0), loader(1))


def test_a_picture_of_each_validation_and_one_for_tensorboard(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(tmp_path, TensorBoardLogger(tmp_path, name="board", version=""), epochs=2)
    files = sorted((tmp_path / "val_predictions").iterdir())
    assert [file.name for file in files] == ["epoch=00.png", "epoch=01.png"]
    events = EventAccumulator(str(tmp_path / "board"))
    events.Reload()
    logged = events.Images("val/predictions")
    assert [event.step for event in logged] == [1, 2]
    with Image.open(files[0]) as picture:
        assert (logged[0].width, logged[0].height) == picture.size


def test_fewer_images_and_a_logger_without_images(tmp_path: Path) -> None:
    sizes = []
    for limit in (1, 4):
        train(tmp_path / str(limit), CSVLogger(tmp_path), limit=limit)
        with Image.open(tmp_path / str(limit) / "val_predictions" / "epoch=00.png") as picture:
            sizes.append(picture.size[0] * picture.size[1])
    assert sizes[1] >= 4 * sizes[0]


@pytest.mark.skipif(importlib.util.find_spec("mlflow") is None, reason="mlflow is not installed")
def test_mlflow_keeps_the_file(tmp_path: Path) -> None:
    """In a database, as conf/logger/mlflow.yaml has it: it works without a server."""
    logger = MLFlowLogger(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db", artifact_location=str(tmp_path / "mlruns"))
    train(tmp_path, logger)
    (found,) = logger.experiment.list_artifacts(logger.run_id, "val_predictions")
    assert found.path == "val_predictions/epoch=00.png"
