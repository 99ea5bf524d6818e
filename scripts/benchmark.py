"""Measures speed side by side: `python scripts/benchmark.py [SECTION ...]`, all by default.

The sides of a section take turns within one run; every figure is a median over the turns. Prints tables, at the end
that of the aims, and with `--json` writes all figures with the machine and the versions. `--quick` takes fewer turns
and smaller sizes, and where no section is named it measures what aims are about alone: within 15 minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

import bench.canvas as bench_canvas
import bench.convergence as bench_convergence
import bench.detect as bench_detect
import bench.evaluate as bench_evaluate
import bench.inference as bench_inference
import bench.loader as bench_loader
import bench.loop as bench_loop
import bench.markdown as bench_markdown
import bench.memory as bench_memory
import bench.predict as bench_predict
import bench.regions as bench_regions
import bench.report as bench_report
import bench.scale as bench_scale
import bench.sharing as bench_sharing
import bench.startup as bench_startup
import bench.tasks as bench_tasks
import bench.variants as bench_variants
import bench.weighting as bench_weighting
from bench.peers import libmtl_version
from bench.sides import Section
from vjo_train.report.environment import describe_device, git_revision, package_versions

Make = Callable[[argparse.Namespace, Path], Section]


def weighting(tasks: int) -> Make:
    """The weightings with so many tasks; all of them with two, but not in a hurry."""
    return lambda args, folder: bench_weighting.section(
        args.small, folder, args.steps, tasks, every=tasks == 2 and not args.quick
    )


def detect(batch: int) -> Make:
    """Detection at a batch size."""
    return lambda args, folder: bench_detect.section(batch)


def inference(detector: str) -> Make:
    """One network against four with a detector."""
    return lambda args, folder: bench_inference.section(args.set, folder, detector)


SECTIONS: dict[str, Make] = {
    "loop": lambda args, folder: bench_loop.section(args.set, folder, 2 * args.steps),
    **{f"weighting_{tasks}": weighting(tasks) for tasks in (2, 3, 4)},
    "tasks": lambda args, folder: bench_tasks.section(args.set, folder, args.steps),
    "sharing": lambda args, folder: bench_sharing.section(args.small, folder, args.steps),
    "canvas": lambda args, folder: bench_canvas.section(args.set, folder, max(1, args.steps // 2)),
    "memory_peak": lambda args, folder: bench_memory.peak_section(args.few, folder),
    "memory_time": lambda args, folder: bench_memory.time_section(args.few, folder, args.steps),
    "evaluate": lambda args, folder: bench_evaluate.section(args.images),
    "coco": lambda args, folder: bench_evaluate.coco_section(max(1, args.images // 10)),
    **{f"detect_{batch}": detect(batch) for batch in (8, 16)},
    "regions": lambda args, folder: bench_regions.section(),
    **{f"inference_{detector}": inference(detector) for detector in bench_inference.DETECTION},
    "precision": lambda args, folder: bench_variants.precision_section(args.small, folder, args.steps),
    "compile": lambda args, folder: bench_variants.compile_section(args.small, folder, args.steps),
    "loader": lambda args, folder: bench_loader.section(args.set, folder),
    "startup": lambda args, folder: bench_startup.section(args.set, folder),
    "startup_predict": lambda args, folder: bench_startup.predict_section(args.set, folder),
    "predict": lambda args, folder: bench_predict.section(args.set, folder, args.pictures),
    "video": lambda args, folder: bench_predict.video_section(args.set, folder, args.pictures),
    "scale": lambda args, folder: bench_scale.section(args.set, folder, args.steps, args.index),
    "report": lambda args, folder: bench_report.section(folder, args.tested),
    "convergence": lambda args, folder: bench_convergence.section(args.set, folder, args.seconds, args.against),
}
LONGER = ("weighting_2", "sharing", "detect_8", "inference_faster_rcnn", "precision", "compile", "convergence")
"""What `--quick` leaves out unless it is named: without aims on some machines, or another size of what is measured."""
TOGETHER = {
    name: tuple(section for section in SECTIONS if section.startswith(f"{name}_"))
    for name in ("weighting", "memory", "detect", "inference")
}
"""`weighting` with two, three and four tasks, `memory` at its peak and the time, and so on."""


@dataclass(frozen=True)
class Size:
    """How much work an option stands for, by default and with `--quick`."""

    whole: int
    quick: int
    help: str


SIZES = {
    "repeats": Size(5, 2, "turns"),
    "steps": Size(4, 4, "training: steps a turn; loop takes twice as many, canvas half of them"),
    "images": Size(4952, 1000, "evaluate: images; coco takes a tenth"),
    "index": Size(100_000, 10_000, "scale: images"),
    "pictures": Size(96, 24, "predict, video: pictures or frames"),
    "tested": Size(5000, 5000, "report: images of a test"),
    "seconds": Size(240, 60, "convergence: the longest training; the others take a half and a quarter"),
}
SMALL = "dataset.size=128"
"""Of the networks whose sides share all but the weighting, the sharing or the arithmetic, with `--quick`."""

FEW = "dataset.batch_size=4"
"""Of the networks whose sides differ in what they keep of each image, with `--quick`."""


def arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """What the command line says (or `words`)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="fewer turns, smaller sizes, and only what aims are about")
    for name, size in SIZES.items():
        shown = f"{size.help} (default: {size.whole}, with --quick {size.quick})"
        parser.add_argument(f"--{name}", type=int, metavar="N", help=shown)
    parser.add_argument("--against", type=Path, metavar="DIR", help="convergence: another revision of the project")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write the tables there, as in docs/benchmarks.md"
    )
    parser.add_argument(
        "--set",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="all but evaluate, coco, detect, regions and report: as for vjo-train; put it last",
    )
    args = parser.parse_args(words)
    named = [part for name in args.sections for part in TOGETHER.get(name, (name,))]
    args.aims_alone = args.quick and not named
    args.sections = named or [name for name in SECTIONS if not (args.quick and name in LONGER)]
    for name in args.sections:
        if name not in SECTIONS:
            parser.error(f"SECTION: found '{name}'; allowed are {', '.join(SECTIONS)}.")
    for name, size in SIZES.items():
        if getattr(args, name) is None:
            setattr(args, name, size.quick if args.quick else size.whole)
        if getattr(args, name) < 1:
            parser.error(f"--{name}: found {getattr(args, name)}; at least 1 is allowed.")
    if args.against is not None and not (args.against / "src/vjo_train").is_dir():
        parser.error(f"--against: found '{args.against}', which holds no src/vjo_train.")
    args.small = [SMALL, *args.set] if args.quick else args.set
    args.few = [FEW, *args.set] if args.quick else args.set
    return args


def machine() -> dict[str, Any]:
    """What it runs on, and how busy that is before the start."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    cpu = describe_device(torch.device("cpu"))
    load = [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None
    return {"device": describe_device(device), "cpu": cpu, "threads": torch.get_num_threads(), "load": load}


def sides_table(name: str, figures: dict[str, Any]) -> Table:
    """A row per side."""
    table = Table(title=f"{name}: {figures['measure']} per {figures['unit']}", title_justify="left", title_style="bold")
    table.add_column("side", style="cyan", no_wrap=True)
    for header in ("median", "fastest", f"ratio to {figures['reference']}", figures["result"]):
        table.add_column(header, justify="right")
    for side, row in figures["sides"].items():
        times = (f"{figures['scale'] * value:.1f}" for value in (row["median"], min(row["seconds"])))
        table.add_row(side, *times, f"{row['ratio']:.3f}", f"{row['result']:.6g}")
    return table


def aims_table(sections: dict[str, Any]) -> Table:
    """A row per aim: a ratio, or seconds, and its limit."""
    table = Table(title="Aims: ratios, or seconds", title_justify="left", title_style="bold")
    table.add_column("section", style="cyan")
    table.add_column("aim")
    for header in ("at most", "measured", "met"):
        table.add_column(header, justify="right")
    for name, figures in sections.items():
        for aim in figures["aims"]:
            limit, measured = f"{aim['at_most']:.3f}", f"{aim['measured']:.3f}"
            table.add_row(name, aim["aim"], limit, measured, "yes" if aim["met"] else "no")
    return table


def main(words: Sequence[str] | None = None) -> None:
    """Measures, prints, writes; the words are those of the command line by default."""
    args = arguments(words)
    console = Console()
    record: dict[str, Any] = {
        "machine": machine(),
        "versions": {**package_versions(), "torchjd": metadata.version("torchjd"), "libmtl": libmtl_version()},
        "git": git_revision(),
        "repeats": args.repeats,
        "quick": args.quick,
        "sections": {},
    }
    for name in args.sections:
        with TemporaryDirectory() as folder:
            section = SECTIONS[name](args, Path(folder))
            figures = (section.of_aims() if args.aims_alone else section).figures(args.repeats)
        record["sections"][name] = figures
        console.print(sides_table(name, figures))
        if args.markdown:
            args.markdown.write_text(bench_markdown.page(record), encoding="utf-8")
        if args.json:  # after each section, so that an interrupted run keeps the earlier ones
            args.json.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        results = [row["result"] for row in figures["sides"].values()]
        if not all(math.isfinite(value) for value in results):
            raise SystemExit(f"{name}: a side came to no finite {figures['result']}.")
    console.print(aims_table(record["sections"]))


if __name__ == "__main__":
    main()
