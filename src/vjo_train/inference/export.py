"""Export: the whole network from uint8 pixels to the heads' outputs as a file for another runtime, which is run."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from rich.console import Console

from vjo_train.errors import ExportError
from vjo_train.files import write_atomically
from vjo_train.inference.exporting import check, metric, precision
from vjo_train.inference.exporting.metric import Validation
from vjo_train.inference.exporting.onnx import write_onnx
from vjo_train.inference.exporting.openvino import read_onnx, write_openvino
from vjo_train.inference.exporting.torch import write_torch
from vjo_train.inference.exporting.traced import Traced
from vjo_train.inference.runtimes.base import Arrays
from vjo_train.inference.runtimes.files import open_runtime
from vjo_train.report.environment import describe_device, package_versions

log = logging.getLogger("vjo_train")

Format: TypeAlias = Literal["onnx", "openvino", "torch"]
Precision: TypeAlias = Literal["float32", "float16", "int8"]
TITLES: Mapping[Format, str] = {"onnx": "ONNX", "openvino": "OpenVINO", "torch": "The exported program"}


@dataclass(frozen=True)
class Wanted:
    """What is to be written.

    Attributes:
        path: the file; written whole or not at all.
        format: of which runtime.
        precision: of the network's arithmetic; what decodes its outputs stays in float32.
        metadata: what the file says of itself; see `onnx_file.metadata`.
        tolerance: the greatest difference from PyTorch that a file in float32 may have.
        calibration: images of the validation split with which int8 is calibrated.
    """

    path: Path
    format: Format
    precision: Precision
    metadata: Mapping[str, str]
    tolerance: float
    calibration: int


def export(network: Traced, wanted: Wanted, validation: Validation | None) -> None:
    """Writes the file and, beside it, a report of its differences, its speed and its metric: `<file>.json`.

    The input `images` is [B, 3, H, W] uint8 RGB, any B: pictures at the top left of a canvas of the mean colour, as
    `data.letterbox.letterbox` lays them; normalisation is part of the graph. The outputs are those of the heads in
    float32, named as `named_tensors` does, with what a decoder needs of constants, such as anchors.

    With `Traced.resize` the input `images` is pictures of one size, any, and the outputs are what `Head.decoded` gives,
    all in their pixels: resizing is part of the graph too.

    Where the network decodes, `sizes` [B, 2] int64, height and width of the picture files, is an input too, and what
    `Head.decoded` gives is put beside the raw outputs as `<task>.<name>`. Heads whose raw outputs cannot leave the
    network have no others.

    Args:
        network: what is exported.
        wanted: the file.
        validation: the images on which another precision than float32 is measured.

    Raises:
        ConfigError: a library is not installed.
        ExportError: in float32 an output differs by more than `tolerance`, or the network cannot be traced.
    """
    path = wanted.path
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        draft = Path(folder) / path.name
        _write(network, wanted, validation, draft)
        report = _examined(network, wanted, validation, draft)
        for part in sorted(Path(folder).iterdir(), key=lambda file: file == draft):  # the file itself last
            if part.suffix in (".bin", ".data") or part == draft:
                os.replace(part, path.parent / part.name)
    write_atomically(path.with_name(f"{path.name}.json"), json.dumps(report, indent=2) + "\n")
    log.info("Exported to %s (%.1f MB, %.1f images/s; PyTorch: %.1f).", path, report["bytes"] / 1e6,
             report["images_per_second"]["file"], report["images_per_second"]["pytorch"])  # fmt: skip


def _write(network: Traced, wanted: Wanted, validation: Validation | None, draft: Path) -> None:
    if wanted.format == "torch":
        write_torch(network, draft, wanted.metadata)
        return
    onnx = draft.with_suffix(".onnx")
    write_onnx(network, onnx, wanted.metadata)
    samples = []
    if wanted.precision == "int8":
        assert validation is not None
        samples = validation.samples(wanted.calibration, list(network.example(1)), network.resize)
    lowered(onnx, wanted, samples, draft)


def lowered(onnx: Path, wanted: Wanted, samples: Sequence[Arrays], draft: Path) -> None:
    """Turns an ONNX file in float32 into the file that is wanted, except for its name: `draft`.

    Args:
        onnx: is gone afterwards.
        wanted: of a format that comes from ONNX.
        samples: inputs to calibrate int8 with.
        draft: the file to write.
    """
    if wanted.format == "openvino":
        model = read_onnx(onnx)
        if wanted.precision == "int8":
            model = precision.quantise_openvino(model, samples)
        write_openvino(model, draft, wanted.metadata, half=wanted.precision == "float16")
        onnx.unlink()
        return
    if wanted.precision == "float16":
        precision.to_float16(onnx)
    elif wanted.precision == "int8":
        precision.quantise_onnx(onnx, samples)
    onnx.rename(draft)


def _examined(network: Traced, wanted: Wanted, validation: Validation | None, draft: Path) -> dict[str, Any]:
    """What the report says of a draft, which is refused where it must not differ and does."""
    runtime = open_runtime(draft, threads=torch.get_num_threads())
    worst = check.compare(network, runtime)
    console = Console()
    console.print(check.table(worst, f"{TITLES[wanted.format]} in {wanted.precision}"))
    name, greatest = max(worst.items(), key=lambda item: item[1])
    if wanted.precision == "float32" and not greatest <= wanted.tolerance:
        raise ExportError(
            f"tolerance: the output {name} of the file differs by {greatest:.2g} from PyTorch; allowed is"
            f" {wanted.tolerance:g}. Nothing was written."
        )
    measured = None
    if wanted.precision != "float32":
        assert validation is not None
        measured = metric.compare(network, validation, draft)
        console.print(metric.table(measured, wanted.precision))
    return {
        "format": wanted.format,
        "precision": wanted.precision,
        "tasks": list(network.tasks),
        "decoded": network.decoded,
        "resize": network.resize,
        "bytes": sum(file.stat().st_size for file in {draft, draft.with_suffix(".bin")} if file.is_file()),
        "greatest_difference": {name: value if value < float("inf") else None for name, value in worst.items()},
        "metric": measured,
        "calibration_images": wanted.calibration if wanted.precision == "int8" else None,
        "images_per_second": {**check.speeds(network, runtime), "batch": 1, "threads": torch.get_num_threads()},
        "device": describe_device(torch.device("cpu")),
        "versions": package_versions(),
    }
