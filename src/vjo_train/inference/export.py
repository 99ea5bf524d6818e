"""Export to ONNX: the whole network from uint8 pixels to the heads' outputs, raw or decoded; compared with PyTorch."""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from vjo_train.data.shape_scene import draw
from vjo_train.errors import ExportError
from vjo_train.heads.detection.suppression import suppress_in_onnx
from vjo_train.heads.outputs import check_exported, named_tensors, output_kind
from vjo_train.inference.compare_outputs import Arrays, difference, map_difference, object_difference
from vjo_train.inference.onnx_file import open_session
from vjo_train.training.module import MultiTaskModule
from vjo_train.types import Canvas, Frames

log = logging.getLogger("vjo_train")

OPSET = 18
"""The oldest that torch's exporter writes without conversion, so that most runtimes read the file."""
BATCHES = (1, 2, 3)
"""Images per batch with which the file is compared; none is what it was traced with, 4."""


def export(
    module: MultiTaskModule,
    tasks: Sequence[str],
    path: Path,
    canvas: Canvas,
    metadata: Mapping[str, str],
    tolerance: float,
    decoded: bool = False,
) -> None:
    """Writes `path`, if onnxruntime gives the same figures for it as PyTorch; prints the greatest differences.

    The input `images` is [B, 3, H, W] uint8 RGB, any B: pictures at the top left of a canvas of the mean colour, as
    `data.letterbox.letterbox` lays them; normalisation is part of the graph. The outputs are those of the heads in
    float32, named as `named_tensors` does, with what a decoder needs of constants, such as anchors.

    With `decoded`, `sizes` [B, 2] int64, height and width of the picture files, is an input too, and what
    `Head.decoded` gives is put beside the raw outputs as `<task>.<name>`. Heads whose raw outputs cannot leave the
    network have no others.

    Args:
        module: with its weights.
        tasks: the heads to export.
        path: the file; written whole or not at all.
        canvas: (H, W).
        metadata: what the file says of itself; see `onnxfile.metadata`.
        tolerance: see `agreement`.
        decoded: whether decoding is part of the graph.

    Raises:
        ConfigError: a head that cannot be exported so.
        ExportError: an output differs by more than `tolerance`, or the network cannot be traced.
    """
    for task in tasks:
        check_exported(task, module.head(task), decoded)
    network = _Named(module, tuple(tasks), decoded).cpu().eval()
    names = network.names(canvas)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        draft = Path(folder) / path.name
        _write(network, names, canvas, draft, metadata)
        worst = compare(network, names, canvas, draft)
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

    def __init__(self, module: MultiTaskModule, tasks: tuple[str, ...], decoded: bool) -> None:
        super().__init__()
        self.module, self.tasks, self.decoded = module, tasks, decoded

    def forward(self, images: Tensor, sizes: Tensor | None = None) -> tuple[Tensor, ...]:
        return tuple(self._outputs(images, sizes).values())

    def example(self, count: int, canvas: Canvas) -> dict[str, Tensor]:
        """Inputs by name; the same ones each time."""
        images = sample_images(count, canvas)
        return {"images": images, "sizes": sample_sizes(count, canvas)} if self.decoded else {"images": images}

    def names(self, canvas: Canvas) -> list[str]:
        """Of the outputs, in their order."""
        with torch.no_grad():
            return list(self._outputs(**self.example(1, canvas)))

    def _outputs(self, images: Tensor, sizes: Tensor | None = None) -> dict[str, Tensor]:
        found = self.module(images, self.tasks)
        named: dict[str, Tensor] = {}
        for task in self.tasks:
            head = self.module.head(task)
            if output_kind(head) is not None:
                named |= named_tensors(task, found[task])
            if sizes is not None:
                own = head.decoded(found[task], Frames.of_files(sizes, (images.shape[-2], images.shape[-1])))
                named |= {f"{task}.{name}": tensor for name, tensor in own.items()}
        return named


def _write(network: _Named, names: Sequence[str], canvas: Canvas, path: Path, metadata: Mapping[str, str]) -> None:
    example = network.example(4, canvas)
    batch = {0: torch.export.Dim("batch")}
    with _quiet(), torch.no_grad():
        try:
            program = torch.onnx.export(
                network,
                tuple(example.values()),
                dynamo=True,
                dynamic_shapes=(batch,) * len(example),
                input_names=list(example),
                output_names=list(names),
                opset_version=OPSET,
                custom_translation_table={torch.ops.vjo_train.suppress.default: suppress_in_onnx},
                verbose=False,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            why = str(error.__cause__ or error).strip().splitlines()[0]
            raise ExportError(
                f"The network cannot be traced ({why}); tasks=[...] exports some of its heads alone."
            ) from error
    assert program is not None
    program.model.metadata_props.update(metadata)
    program.save(path)


def compare(network: _Named, names: Sequence[str], canvas: Canvas, path: Path) -> dict[str, float]:
    """Output -> the greatest difference of the file's figures from the network's over several batches.

    The objects that a head finds count together, under the name of their boxes.
    """
    session = open_session(path)
    worst: dict[str, float] = {}
    for count in BATCHES:
        given = network.example(count, canvas)
        with torch.no_grad():
            wanted = dict(zip(names, (tensor.numpy() for tensor in network(**given)), strict=True))
        values = session.run(list(names), {name: tensor.numpy() for name, tensor in given.items()})
        found = dict(zip(names, values, strict=True))
        for name, value in _differences(wanted, found).items():
            worst[name] = max(worst.get(name, 0.0), value)
    return worst


def _differences(wanted: Arrays, found: Arrays) -> dict[str, float]:
    tasks = [name.removesuffix(".labels") for name in wanted if name.endswith(".labels")]
    objects = {f"{task}.{name}": name for task in tasks for name in ("boxes", "scores", "labels", "masks", "keypoints")}
    worst = {}
    for name in wanted:
        if objects.get(name) == "boxes":
            task = name.removesuffix(".boxes")
            own = [key for key in wanted if key in objects and key.startswith(f"{task}.")]
            mine, other = ({objects[key]: each[key] for key in own} for each in (wanted, found))
            worst[name] = object_difference(mine, other)
        elif name not in objects:
            kind = map_difference if wanted[name].dtype == np.uint8 else difference
            worst[name] = kind(wanted[name], found[name])
    return worst


def sample_images(count: int, canvas: Canvas) -> Tensor:
    """Parts of drawn scenes that fill the canvas, uint8 [count, 3, H, W]; the same ones each time."""
    height, width = canvas
    scenes = (draw(np.random.default_rng([count, k]), max(canvas), 0.5).image for k in range(count))
    drawn = [scene[:height, :width] for scene in scenes]
    return torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2).contiguous()


def sample_sizes(count: int, canvas: Canvas) -> Tensor:
    """Heights and widths of picture files in several shapes, int64 [count, 2]; the same ones each time."""
    height, width = canvas
    shapes = [canvas, (round(1.5 * height), 2 * width), (height, width // 2), (height // 3, width // 2)]
    return torch.tensor([shapes[k % len(shapes)] for k in range(count)])


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
