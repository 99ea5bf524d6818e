"""What lower precision costs: the metrics of the validation images before and after."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl
import torch
from rich.table import Table

from vjo_train.data.datamodule import DataModule
from vjo_train.errors import ConfigError
from vjo_train.heads.merged import possible
from vjo_train.inference.exporting.traced import Traced
from vjo_train.inference.file_network import FileNetwork
from vjo_train.inference.originals import lists, originals
from vjo_train.inference.picture_file import PictureFile
from vjo_train.inference.runtimes.base import Arrays
from vjo_train.training.exported import ExportedModule
from vjo_train.types import Batch


@dataclass(frozen=True)
class Validation:
    """The images of a run's validation split.

    Attributes:
        data: with the tasks that are exported.
        rows: of the index.
    """

    data: DataModule
    rows: npt.NDArray[np.int64]

    @classmethod
    def of(cls, data: DataModule) -> Validation:
        """Reads the index.

        Raises:
            ConfigError: there are no such images.
            DataError: faulty ones.
        """
        data.prepare_data()
        data.setup()
        if not len(data.val_rows):
            raise ConfigError(
                "precision: below float32 a file is calibrated and measured on validation images, and there are none;"
                " set dataset.val_split, or dataset.val_fraction such as 0.1."
            )
        return cls(data, data.val_rows)

    def samples(self, count: int, inputs: Sequence[str], resize: bool = False) -> list[Arrays]:
        """A file's inputs for `count` of the images, spread over all, one by one.

        Args:
            count: of images.
            inputs: the names of the file's inputs.
            resize: whether it takes the pictures as they are in their files.
        """
        chosen = np.unique(np.linspace(0, len(self.rows) - 1, min(count, len(self.rows))).round().astype(int))
        found: list[Arrays] = []
        for batch in self.data.eval_dataloader(self.rows[chosen]):
            given = {"images": list(batch.images), "sizes": list(batch.frames.originals)}
            if resize:
                given["images"] = originals(self.data, batch)
            for k in range(len(batch)):
                found.append({name: np.ascontiguousarray(given[name][k][None].numpy()) for name in inputs})
        return found


def compare(network: Traced, validation: Validation, path: Path) -> dict[str, Any]:
    """The metrics of the network in PyTorch, in float32, and of the file, on all validation images."""
    heads = {task: network.module.head(task) for task in network.tasks}
    own = ExportedModule(heads, possible(network.module.merged, network.tasks), _by_torch(network), 0)
    monitors = [f"{task}/{own.measures(task).monitor}" for task in own.measured]
    before = _measured(own, validation)
    if network.resize:
        own.replace(lists(PictureFile(heads, path, "cpu").found, validation.data))
    else:
        own.replace(FileNetwork(heads, path, "cpu").lists)
    after = _measured(own, validation)
    return {"images": len(validation.rows), "monitors": monitors, "before": before, "after": after}


def _by_torch(network: Traced) -> Callable[[Batch], Mapping[str, list[Any]]]:
    def found(batch: Batch) -> dict[str, list[Any]]:
        outputs = network.module(batch.images, network.tasks)
        return {task: network.module.head(task).decode(outputs[task], batch) for task in network.tasks}

    return found


def _measured(module: ExportedModule, validation: Validation) -> dict[str, float | None]:
    """Metric -> figure; None where it is not defined."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".*(does not have many workers|isinstance\(treespec, LeafSpec\))")
        trainer = pl.Trainer(
            accelerator="cpu",
            devices=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        with torch.no_grad():
            (found,) = trainer.test(module, dataloaders=validation.data.eval_dataloader(validation.rows), verbose=False)
    figures = {name.removeprefix("test/"): float(value) for name, value in found.items()}
    return {name: None if math.isnan(value) else value for name, value in figures.items()}


def table(measured: Mapping[str, Any], precision: str) -> Table:
    """The metrics that stand for the tasks, before and after, to be shown."""
    made = Table(title=f"{measured['images']} validation images", title_justify="left", title_style="bold")
    made.add_column("metric", style="cyan")
    for column in ("PyTorch, float32", precision, "difference"):
        made.add_column(column, justify="right")
    for name in measured["monitors"]:
        before, after = (measured[stage].get(name) for stage in ("before", "after"))
        known = before is not None and after is not None
        cells = ["-" if value is None else f"{value:.4f}" for value in (before, after)]
        made.add_row(name, *cells, f"{after - before:+.4f}" if known else "-")
    return made
