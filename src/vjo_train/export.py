"""Export to ONNX: the whole network from uint8 pixels to the heads' raw outputs, compared with PyTorch."""

from __future__ import annotations

import logging
import math
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from vjo_train.data import shapes
from vjo_train.errors import ExportError
from vjo_train.heads.outputs import named_tensors, output_kind
from vjo_train.module import MultiTaskModule
from vjo_train.onnxfile import open_session

log = logging.getLogger("vjo_train")

OPSET = 18
"""The oldest that torch's exporter writes without conversion, so that most runtimes read the file."""
BATCHES = (1, 2, 3)
"""Images per batch with which the file is compared; none is what it was traced with, 4."""


def export(
    module: MultiTaskModule,
    tasks: Sequence[str],
    path: Path,
    size: int,
    metadata: Mapping[str, str],
    tolerance: float,
) -> None:
    """Writes `path`, if onnxruntime gives the same figures for it as PyTorch; prints the greatest differences.

    The input `images` is [B, 3, S, S] uint8 RGB, any B: pictures at the top left of a canvas of the mean colour, as
    `data.transforms.letterbox` lays them; normalisation is part of the graph. The outputs are those of the heads in
    float32, named as `named_tensors` does, with what a decoder needs of constants, such as anchors.

    Args:
        module: with its weights.
        tasks: the heads to export.
        path: the file; written whole or not at all.
        size: S.
        metadata: what the file says of itself; see `onnxfile.metadata`.
        tolerance: see `difference`.

    Raises:
        ConfigError: a head whose raw outputs cannot leave the network.
        ExportError: an output differs by more than `tolerance`.
    """
    for task in tasks:
        output_kind(task, module.head(task))
    network = _Named(module, tuple(tasks)).cpu().eval()
    names = network.names(size)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        draft = Path(folder) / path.name
        _write(network, names, sample_images(4, size), draft, metadata)
        worst = compare(network, names, size, draft)
        Console().print(_table(worst))
        name, greatest = max(worst.items(), key=lambda item: item[1])
        if not greatest <= tolerance:
            raise ExportError(
                f"tolerance: the output {name} of the ONNX file differs by {greatest:.2g} from PyTorch; allowed is"
                f" {tolerance:g}. Nothing was written."
            )
        os.replace(draft, path)
    log.info("Exported to %s (%.1f MB).", path, path.stat().st_size / 1e6)


class _Named(nn.Module):
    """The network with its outputs as a tuple of tensors."""

    def __init__(self, module: MultiTaskModule, tasks: tuple[str, ...]) -> None:
        super().__init__()
        self.module, self.tasks = module, tasks

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(self._outputs(images).values())

    def names(self, size: int) -> list[str]:
        """Of the outputs, in their order."""
        with torch.no_grad():
            return list(self._outputs(sample_images(1, size)))

    def _outputs(self, images: Tensor) -> dict[str, Tensor]:
        found = self.module(images, self.tasks)
        return {name: t for task in self.tasks for name, t in named_tensors(task, found[task]).items()}


def _write(network: _Named, names: Sequence[str], example: Tensor, path: Path, metadata: Mapping[str, str]) -> None:
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            input_names=["images"],
            output_names=list(names),
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    program.model.metadata_props.update(metadata)
    program.save(path)


def compare(network: nn.Module, names: Sequence[str], size: int, path: Path) -> dict[str, float]:
    """Output -> the greatest `difference` of the file's figures from the network's over several batches."""
    session = open_session(path)
    worst = dict.fromkeys(names, 0.0)
    for count in BATCHES:
        images = sample_images(count, size)
        with torch.no_grad():
            wanted = network(images)
        found = session.run(list(names), {"images": images.numpy()})
        for name, mine, other in zip(names, wanted, found, strict=True):
            worst[name] = max(worst[name], difference(mine.numpy(), other))
    return worst


def difference(wanted: Any, found: Any) -> float:
    """The greatest absolute difference of two arrays, by the largest finite magnitude wanted or 1, if that is more.

    Places where both are equal, infinities included, do not differ; NaN differs from everything.
    """
    if wanted.shape != found.shape:
        return math.inf
    unequal = wanted != found
    if not unequal.any():
        return 0.0
    scale = max(1.0, float(np.abs(wanted[np.isfinite(wanted)]).max(initial=0.0)))
    greatest = float(np.abs(wanted[unequal] - found[unequal]).max())
    return math.inf if math.isnan(greatest) else greatest / scale


def sample_images(count: int, size: int) -> Tensor:
    """Drawn scenes, uint8 [count, 3, size, size]; the same ones each time."""
    drawn = [shapes.draw(np.random.default_rng([count, k]), size, 0.5).image for k in range(count)]
    return torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2).contiguous()


def _table(worst: Mapping[str, float]) -> Table:
    table = Table(title="ONNX against PyTorch", title_justify="left", title_style="bold")
    table.add_column("output", style="cyan")
    table.add_column("greatest difference", justify="right")
    for name, value in worst.items():
        table.add_row(name, f"{value:.1e}")
    return table


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences the exporter's remarks on things that no user of this program can change."""
    loggers = [logging.getLogger(name) for name in ("onnxscript", "onnx_ir", "torch.onnx")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
