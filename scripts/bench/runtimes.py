"""Images per second, size and metric of a run's network in PyTorch and in every exported format and precision.

    python scripts/bench/runtimes.py RUN OUTPUT [--threads 2] [--repeats 15] [--calibration 64]

RUN is a finished run; its network, with decoding, is traced once and written to the folder OUTPUT in every way that
`vjo-export` knows. Speeds are of single pictures on the run's canvas, network and decoding without reading files; the
passes of all take turns, so that what else the machine does falls on each alike, and the quickest third of each counts.
Where others use the machine, take --threads 1: threads that wait for each other suffer most, PyTorch's above all.
The metrics are of the validation images. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from vjo_train.config import build
from vjo_train.inference.export import Wanted, lowered
from vjo_train.inference.exporting import metric
from vjo_train.inference.exporting.metric import Validation
from vjo_train.inference.exporting.onnx import write_onnx
from vjo_train.inference.exporting.torch import write_torch
from vjo_train.inference.exporting.traced import Traced
from vjo_train.inference.runtimes.files import open_runtime
from vjo_train.runs import run_folder
from vjo_train.schedules.joint import Joint
from vjo_train.training import checkpoints
from vjo_train.types import canvas_of

FILES = (
    ("onnx", "float32", "float32.onnx"),
    ("onnx", "float16", "float16.onnx"),
    ("onnx", "int8", "int8.onnx"),
    ("openvino", "float32", "float32.xml"),
    ("openvino", "float16", "float16.xml"),
    ("openvino", "int8", "int8.xml"),
    ("torch", "float32", "float32.pt2"),
)


def main() -> None:
    """Writes the files, measures them and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--calibration", type=int, default=64)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    network, validation = opened(given.run)
    given.output.mkdir(parents=True, exist_ok=True)
    write(network, validation, given.output, given.calibration)

    example = network.example(1)
    arrays = {name: tensor.numpy() for name, tensor in example.items()}
    runs: dict[str, Callable[[], Any]] = {"PyTorch": lambda: network(**example)}
    for _, _, name in FILES:
        runs[name] = partial(open_runtime(given.output / name, threads=given.threads), arrays)
    rates = speeds(runs, given.repeats)
    own = rates["PyTorch"]

    found = {name: metric.compare(network, validation, given.output / name) for _, _, name in FILES}
    tasks = found[FILES[0][2]]["monitors"]
    rows = [["PyTorch", "float32", own, sum(p.numel() for p in network.parameters()) * 4]]
    rows[0] += [found[FILES[0][2]]["before"][task] for task in tasks]
    for form, precision, name in FILES:
        files = [given.output / name, *(given.output.glob(f"{Path(name).stem}.bin") if form == "openvino" else ())]
        rows.append([form, precision, rates[name], sum(file.stat().st_size for file in files)])
        rows[-1] += [found[name]["after"][task] for task in tasks]
    print(" | ".join(["| format", "precision", "images/s", "x PyTorch", "MB", *tasks]) + " |")
    print("| --- " * (5 + len(tasks)) + "|")
    for form, precision, rate, size, *figures in rows:
        cells = [form, precision, f"{rate:.1f}", f"{rate / own:.2f}", f"{size / 1e6:.1f}"]
        print("| " + " | ".join([*cells, *(f"{100 * figure:.2f}" for figure in figures)]) + " |")


def opened(run: Path) -> tuple[Traced, Validation]:
    """The network of a run with its weights, and its validation images."""
    cfg = OmegaConf.load(run / run_folder.CONFIG)
    module = build.model(cfg, restored=True)
    checkpoints.restore(module, run_folder.checkpoint(run, None))
    data = build.datamodule(cfg)
    data.set_tasks({task: module.head(task).needs for task in module.tasks}, Joint(tasks=module.tasks))
    return Traced(module, module.tasks, canvas_of(cfg.dataset.size), decoded=True), Validation.of(data)


def write(network: Traced, validation: Validation, output: Path, calibration: int) -> None:
    """Writes all files that are not there yet."""
    traced = output / "traced.onnx"
    samples = validation.samples(calibration, list(network.example(1)))
    for form, precision, name in FILES:
        if (output / name).is_file():
            continue
        if form == "torch":
            write_torch(network, output / name, {})
            continue
        if not traced.is_file():
            write_onnx(network, traced, {})
        shutil.copy(traced, output / "draft.onnx")
        lowered(
            output / "draft.onnx", Wanted(output / name, form, precision, {}, 1.0, calibration), samples, output / name
        )


def speeds(runs: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Passes per second of each, taking turns."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    with torch.inference_mode():
        for run in runs.values():
            run()
        for _ in range(repeats):
            for name, run in runs.items():
                start = time.perf_counter()
                run()
                times[name].append(time.perf_counter() - start)
    return {name: 1 / statistics.mean(sorted(own)[: max(1, len(own) // 3)]) for name, own in times.items()}


if __name__ == "__main__":
    main()
