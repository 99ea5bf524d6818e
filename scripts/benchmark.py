"""Measures speed side by side: `python scripts/benchmark.py [SECTION ...]`, all by default.

The sides of a section take turns within one run; every figure is a median over the turns. Prints tables and, with
`--json`, writes all figures with the machine and the versions.
"""

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

import bench.canvas as bench_canvas
import bench.detect as bench_detect
import bench.evaluate as bench_evaluate
import bench.inference as bench_inference
import bench.loader as bench_loader
import bench.loop as bench_loop
import bench.markdown as bench_markdown
import bench.regions as bench_regions
import bench.scale as bench_scale
import bench.sharing as bench_sharing
import bench.startup as bench_startup
import bench.variants as bench_variants
import bench.weighting as bench_weighting
from bench.peers import libmtl_version
from bench.sides import Section
from vjo_train.report.environment import describe_device, git_revision, package_versions

SECTIONS = (
    *("loop", "weighting_2", "weighting_3", "weighting_4", "sharing", "canvas"),
    *("evaluate", "coco", "detect_8", "detect_16", "regions", "inference_fcos", "inference_faster_rcnn"),
    *("precision", "compile"),
    *("loader", "startup", "scale"),
)
TOGETHER = {
    name: tuple(section for section in SECTIONS if section.startswith(f"{name}_"))
    for name in ("weighting", "detect", "inference")
}
"""`weighting` with two, three and four tasks, `detect` at batch 8 and 16, `inference` with two detectors."""


def arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """What the command line says (or `words`)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)}; all by default")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="turns (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write the tables there, as in docs/benchmarks.md"
    )
    parser.add_argument(
        "--steps",
        type=int,
        default=4,
        metavar="N",
        help="training: steps a turn, loop takes twice as many (default: 4)",
    )
    parser.add_argument(
        "--images", type=int, default=4952, metavar="N", help="evaluate: images; coco takes a tenth (default: 4952)"
    )
    parser.add_argument("--index", type=int, default=100_000, metavar="N", help="scale: images (default: 100000)")
    parser.add_argument(
        "--set",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="all but evaluate, coco, detect and regions: as for vjo-train; put it last",
    )
    args = parser.parse_args(words)
    args.sections = [part for name in args.sections for part in TOGETHER.get(name, (name,))]
    for name in args.sections:
        if name not in SECTIONS:
            parser.error(f"SECTION: found '{name}'; allowed are {', '.join(SECTIONS)}.")
    for name in ("repeats", "steps", "images", "index"):
        if getattr(args, name) < 1:
            parser.error(f"--{name}: found {getattr(args, name)}; at least 1 is allowed.")
    return args


def section(name: str, args: argparse.Namespace, folder: Path) -> Section:
    """A section, ready to be measured."""
    if name == "evaluate":
        return bench_evaluate.section(args.images)
    if name == "coco":
        return bench_evaluate.coco_section(max(1, args.images // 10))
    if name in TOGETHER["detect"]:
        return bench_detect.section(int(name.removeprefix("detect_")))
    if name == "regions":
        return bench_regions.section()
    if name in TOGETHER["inference"]:
        return bench_inference.section(args.set, folder, name.removeprefix("inference_"))
    if name == "precision":
        return bench_variants.precision_section(args.set, folder, args.steps)
    if name == "compile":
        return bench_variants.compile_section(args.set, folder, args.steps)
    if name == "loader":
        return bench_loader.section(args.set, folder)
    if name == "startup":
        return bench_startup.section(args.set, folder)
    if name == "scale":
        return bench_scale.section(args.set, folder, args.steps, args.index)
    if name == "loop":
        return bench_loop.section(args.set, folder, 2 * args.steps)
    if name == "canvas":
        return bench_canvas.section(args.set, folder, args.steps)
    if name == "sharing":
        return bench_sharing.section(args.set, folder, args.steps)
    return bench_weighting.section(args.set, folder, args.steps, tasks=int(name.removeprefix("weighting_")))


def machine() -> dict[str, Any]:
    """What it runs on, and how busy that is before the start."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    cpu = describe_device(torch.device("cpu"))
    load = [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None
    return {"device": describe_device(device), "cpu": cpu, "threads": torch.get_num_threads(), "load": load}


def sides_table(name: str, figures: dict[str, Any]) -> Table:
    """A row per side."""
    table = Table(title=f"{name}: milliseconds per {figures['unit']}", title_justify="left", title_style="bold")
    table.add_column("side", style="cyan", no_wrap=True)
    for header in ("median", "fastest", f"ratio to {figures['reference']}", figures["result"]):
        table.add_column(header, justify="right")
    for side, row in figures["sides"].items():
        times = (f"{1000 * value:.1f}" for value in (row["median"], min(row["seconds"])))
        table.add_row(side, *times, f"{row['ratio']:.3f}", f"{row['result']:.6g}")
    return table


def aims_table(sections: dict[str, Any]) -> Table:
    """A row per aim: a ratio of times, or seconds, and its limit."""
    table = Table(title="Aims: ratios of times, or seconds", title_justify="left", title_style="bold")
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
        "sections": {},
    }
    for name in args.sections or SECTIONS:
        with TemporaryDirectory() as folder:
            figures = section(name, args, Path(folder)).measure(args.repeats)
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
