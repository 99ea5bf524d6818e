"""Prediction on plain image files: from a checkpoint or an exported file to the files that users want."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from vjo_train.data.loading import BatchLoader
from vjo_train.errors import DataError
from vjo_train.heads.base import Head
from vjo_train.heads.merged import Merged, with_merged
from vjo_train.heads.network import TaskNetwork
from vjo_train.inference.devices import chosen_device, half
from vjo_train.inference.inputs import Loaded
from vjo_train.inference.overlap import Behind
from vjo_train.inference.prediction_files import PredictionFiles
from vjo_train.inference.reading import WHOLE, ByImage, Reading
from vjo_train.inference.runtimes.base import Accelerator
from vjo_train.inference.tiling.tiled import Computed
from vjo_train.training import checkpoints
from vjo_train.types import Batch, Movable

log = logging.getLogger("vjo_train")

Network: TypeAlias = Callable[[Batch, Sequence[Tensor]], Iterator[dict[str, Any]]]
"""A batch, and its pictures as viewers show them (uint8 [3, H, W]) -> for each, task -> prediction, in the pixels of
its file and the data set's classes, on the CPU."""
Found: TypeAlias = Callable[[Batch, Sequence[Tensor]], Iterator[dict[str, Any]]]
"""The same in the heads' own classes, wherever they were computed."""

_PICTURES_BEHIND = 8
"""How many may wait to be drawn and written, with their predictions."""


def predict(network: Network, loader: BatchLoader, writer: PredictionFiles, *, progress: bool) -> int:
    """Writes the predictions for all files; those that cannot be read are named and left out.

    Drawing and writing follow the network in a thread of their own; the files are those of one after the other.

    Args:
        network: what predicts.
        loader: of `data.files.Files`.
        writer: takes the predictions.
        progress: show a bar in a terminal.

    Returns:
        How many files could not be read.

    Raises:
        DataError: none could be read.
    """
    unreadable: dict[int, str] = {}
    batches = iter(loader)  # forks, which is better done before there is a second thread
    shown = _with_bar(batches, len(loader)) if progress and sys.stdout.isatty() else batches
    behind = Behind[tuple[int, Tensor, dict[str, Any]]](lambda item: writer.add(*item), _PICTURES_BEHIND)
    try:
        try:
            for loaded in shown:
                assert isinstance(loaded, Loaded)
                unreadable |= loaded.unreadable
                found = network(loaded.batch, loaded.pictures) if loaded.places else iter(())
                for item in zip(loaded.places, loaded.pictures, found, strict=True):
                    behind.put(item)
        finally:
            behind.close()
    except KeyboardInterrupt:
        if writer.images:
            writer.finish(unreadable)
            log.warning("Interrupted: the first %d images are in %s.", writer.images, writer.layout.output)
        raise
    if not writer.images:
        raise DataError(f"source: none of the {len(unreadable)} files could be read: {next(iter(unreadable.values()))}")
    writer.finish(unreadable)
    for why in unreadable.values():
        log.warning("Skipped %s", why)
    for path in writer.leftovers():
        log.warning("Of an earlier prediction: %s", path)
    counts = "".join(f", {count} of {task}" for task, count in writer.counts.items())
    counts += f", {len(unreadable)} files skipped" if unreadable else ""
    log.info("Predictions for %d images%s: %s", writer.images, counts, writer.layout.output)
    return len(unreadable)


def _with_bar(batches: Iterator[Any], count: int) -> Iterator[Any]:
    from rich.progress import track  # a tenth of a second that is not for those who see no bar

    return iter(track(batches, "predicting", total=count, transient=True))


def by_checkpoint(
    network: TaskNetwork,
    tasks: tuple[str, ...],
    checkpoint: Path,
    accelerator: Accelerator,
    precision: str,
    number: int = 0,
) -> Computed:
    """The network with the weights of a checkpoint; predicts for `tasks`.

    Args:
        network: of the run's config.
        tasks: the heads to predict with.
        checkpoint: the weights.
        accelerator: where it computes.
        precision: as `trainer.precision`, but that `auto` is float32: boxes are those of the exported file, and do not
            depend on what the hardware is fast at.
        number: which GPU, of several.

    Raises:
        CheckpointError: the checkpoint is damaged or of another network.
        ConfigError: there is no such accelerator.
    """
    checkpoints.restore(network, checkpoint)
    device = chosen_device(accelerator, number)
    lower = half(exact(precision), device)
    network.to(device).eval()

    def computed(batch: Batch, reading: Reading) -> dict[str, ByImage]:
        there = batch.to(device)
        with torch.inference_mode(), torch.autocast(device.type, lower, enabled=lower is not None):
            outputs = network(there.images, tasks)
            return {task: reading.of_outputs(network.head(task), outputs[task], there) for task in tasks}

    return computed


def exact(precision: str) -> str:
    """The key `trainer.precision` as predictions take it: `auto` is float32."""
    return "32-true" if precision == "auto" else precision


def whole(network: Computed) -> Found:
    """The network on pictures as they lie on their canvases."""

    def found(batch: Batch, pictures: Sequence[Tensor]) -> Iterator[dict[str, Any]]:
        own = network(batch, WHOLE)
        for k in range(len(batch)):
            yield {task: prediction(k) for task, prediction in own.items()}

    return found


def publishing(found: Found, heads: Mapping[str, Head], merged: Mapping[str, Merged]) -> Network:
    """Predictions in the data set's classes, on the CPU, with what is made of them.

    Args:
        found: gives them in the heads' own classes.
        heads: task -> head.
        merged: what is made of several heads' predictions.
    """

    def network(batch: Batch, pictures: Sequence[Tensor]) -> Iterator[dict[str, Any]]:
        each = found(batch, pictures)
        for _ in range(len(batch)):
            with torch.inference_mode():
                own = {task: heads[task].published(one) for task, one in next(each).items()}
                here = {task: one.to("cpu") if isinstance(one, Tensor | Movable) else one for task, one in own.items()}
                predictions = with_merged(here, merged)
            yield predictions

    return network
