"""Sections on what was looked at inside: the regions that the tasks used, and how they help one another."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from vjo_train.pages.blocks import Block, Figures, Note, Picture, Pictures, Section, Table, embedded
from vjo_train.pages.folder import RunFolder
from vjo_train.pages.scale import Point
from vjo_train.pages.training import figure
from vjo_train.report import affinity as measurements
from vjo_train.report.affinity import Measured, mean

REGIONS = "regions.png"
SHEET = 1280
"""The sheet of regions is at most so wide and high, in pixels: an image and four tasks are not shrunk."""
METHODS = {"grad_cam": "Grad-CAM", "hires_cam": "HiResCAM"}
AFFINITY = (
    "How much a step of one task lowers the loss of another, in percent of that loss: above 0 it helps, below 0 it "
    "harms. The diagonal, uncoloured, is what a task does for itself."
)
"""How to read a matrix."""


def regions(run: RunFolder) -> Section | None:
    """The sheet of heat maps that the test has drawn."""
    path = run.path / REGIONS
    if not path.is_file():
        return None
    method = METHODS.get((run.config.get("insight") or {}).get("regions", {}).get("method", ""), "activation")
    intro = (
        f"Where each task looked: a row per test image, beside it one {method} map per task. Yellow places carry the "
        "task's score, violet ones a little, grey ones nothing. Colours go up to each map's own greatest value: they "
        "say where, not how much."
    )
    sheet = Picture(embedded(path, SHEET), [], "test images, and the regions that each task used", wide=True)
    return Section("Regions", [Pictures("", [sheet])], intro)


def affinity(run: RunFolder) -> Section | None:
    """The matrix of task affinities, mean over training, and its rows as curves over the epochs."""
    if not (run.path / measurements.FILE).is_file():
        return None
    measured = run.affinity
    if not measured:
        said = "Nothing was measured: no batch that was looked at trained several tasks."
        return Section("Affinity", [Note(said)])
    blocks: list[Block] = [matrix("Mean over training", measured, reach(measured))]
    if len(run.history) > 1:
        charts = [figure(f"a step of {source}, in %", _others(run, source)) for source in tasks(measured)]
        blocks.append(Figures([chart for chart in charts if chart]))
    return Section("Affinity", blocks, AFFINITY)


def matrix(title: str, measured: Sequence[Measured], far: float) -> Table:
    """The mean affinities in percent; pairs of different tasks are coloured by their sign, most strongly at `far`."""
    names = tasks(measured)
    values = [[mean(measured, source, target) for target in names] for source in names]
    rows = [[source, *map(_percent, row)] for source, row in zip(names, values, strict=True)]
    shades = [
        [value / far if far and i != j and math.isfinite(value) else 0.0 for j, value in enumerate(row)]
        for i, row in enumerate(values)
    ]
    return Table(title, ["a step of", *(f"for {name}" for name in names)], rows, shades=shades)


def reach(measured: Sequence[Measured]) -> float:
    """The greatest mean affinity between different tasks, by size; 0 where there is none."""
    names = tasks(measured)
    sizes = [abs(mean(measured, source, target)) for source in names for target in names if source != target]
    return max(filter(math.isfinite, sizes), default=0.0)


def tasks(measured: Iterable[Measured]) -> list[str]:
    """The tasks whose steps were looked at, in the file's order."""
    return list(dict.fromkeys(row.source for row in measured))


def _others(run: RunFolder, source: str) -> dict[str, list[Point]]:
    """What a step does for the other tasks, by epoch; beside what it does for its own they would be flat."""
    return {
        f"for {target}": [(x, 100 * y) for x, y in run.curve(f"train/affinity/{source}/{target}")]
        for target in tasks(run.affinity)
        if target != source
    }


def _percent(value: float) -> str:
    return f"{100 * value:+.3g}".replace("-", "−") if math.isfinite(value) else "–"
