"""Sections on how the trainings went, the runs of all methods over each other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

from vjo_train.comparison.colours import legend, style
from vjo_train.comparison.reading import Run
from vjo_train.comparison.summary import SINGLE, Comparison
from vjo_train.pages.blocks import Block, Figure, Figures, Note, Section
from vjo_train.pages.folder import RunFolder
from vjo_train.pages.insight import AFFINITY, matrix, reach
from vjo_train.pages.lines import Line, line_chart
from vjo_train.pages.scale import Point
from vjo_train.pages.training import figure

Groups = Mapping[str, Sequence[RunFolder]]
"""Label -> its runs, seed by seed."""


def learning_curves(comparison: Comparison) -> Section | None:
    """The metric and the losses of each task: a bold line for the mean of each method, a thin one for each seed."""
    charts = []
    for task, metric in comparison.metrics.items():
        groups = folders(comparison, task)
        for column, said in (
            (f"val/{task}/{metric}", f"{task}: {metric} on val"),
            (f"val/{task}/loss", f"{task}: loss on val"),
            (f"train/{task}/loss", f"{task}: loss in training"),
        ):
            charts.append(overlay(comparison, said, column, groups))
    shown = [chart for chart in charts if chart]
    if not shown:
        return None
    labels = [*([SINGLE] if comparison.singles else []), *comparison.methods]
    seeds = " Bold: the mean over seeds; thin: each seed." if len(comparison.seeds) > 1 else ""
    intro = f"Single-task runs in grey.{seeds} Losses of different methods need not be of one scale."
    return Section("Learning curves", [Figures(shown, legend(comparison, labels))], intro)


def task_weights(comparison: Comparison) -> Section | None:
    """How each method weighed the tasks, as means over seeds."""
    charts, constant = [], []
    for label, group in _methods(comparison).items():
        curves = _means(group, "train/", "/weight")
        values = [y for curve in curves.values() for _, y in curve if math.isfinite(y)]
        if not values:
            continue
        if max(values) - min(values) < 1e-9:
            constant.append(label)
        elif chart := figure(label, curves):
            charts.append(chart)
    said = f"Weights that never change: {', '.join(constant)}." if constant else ""
    blocks: list[Block] = [*([Figures(charts)] if charts else []), *([Note(said)] if said else [])]
    intro = "Mean over seeds of what every task's loss or gradient counted."
    return Section("Task weights", blocks, intro) if blocks else None


def conflict(comparison: Comparison) -> Section | None:
    """The cosines between the tasks' gradients and the share of conflicts, method by method."""
    groups = _methods(comparison)
    columns = [name for group in groups.values() for run in group for name in run.columns]
    pairs = [name for name in dict.fromkeys(columns) if name.startswith("train/weighting/cosine/")]
    charts = [
        overlay(comparison, " and ".join(name.split("/")[3:]), name, groups, limits=(-1.0, 1.0)) for name in pairs
    ]
    charts.append(
        overlay(comparison, "share of pairs in conflict", "train/weighting/conflict_share", groups, limits=(0.0, 1.0))
    )
    shown = [chart for chart in charts if chart]
    if not shown:
        return None
    intro = (
        "Cosine between the gradients of two tasks in the shared layers, means of each epoch. Below 0 they are in "
        "conflict. Methods that did not log it (weighting.diagnose_every) are missing."
    )
    return Section("Conflict", [Figures(shown, legend(comparison, list(groups)))], intro)


def affinity(comparison: Comparison) -> Section | None:
    """The matrix of task affinities of each method that measured it, coloured on one scale."""
    groups = {label: [row for run in group for row in run.affinity] for label, group in _methods(comparison).items()}
    known = {label: measured for label, measured in groups.items() if measured}
    if not known:
        return None
    far = max(map(reach, known.values()))
    tables = [matrix(label, measured, far) for label, measured in known.items()]
    return Section("Affinity", tables, f"{AFFINITY} Means over training and seeds.")


def overlay(
    comparison: Comparison, title: str, column: str, groups: Groups, limits: Point | None = None
) -> Figure | None:
    """One column of the histories of all groups; None where no run has it."""
    lines: list[Line] = []
    for label, group in groups.items():
        curves = [run.curve(column) for run in group]
        colour = style(comparison, label)
        if len(curves) > 1:
            lines += [Line(label, curve, colour, kind="faint") for curve in curves]
    lines += [
        Line(label, mean_curve([run.curve(column) for run in group]), style(comparison, label))
        for label, group in groups.items()
    ]
    drawn = line_chart(lines, title, x_label="epoch", y_range=limits, whole=True)
    return Figure(title, drawn) if drawn else None


def mean_curve(curves: Sequence[Sequence[Point]]) -> list[Point]:
    """The mean of several curves at every x that one of them has, over those that are defined there."""
    values: dict[float, list[float]] = {}
    for curve in curves:
        for x, y in curve:
            values.setdefault(x, []).extend([y] if math.isfinite(y) else [])
    return [(x, fmean(found) if found else math.nan) for x, found in sorted(values.items())]


def folders(comparison: Comparison, task: str) -> dict[str, list[RunFolder]]:
    """The single-task runs of a task, where there are any, and every method's runs that trained it."""
    singles: dict[int, Run] = comparison.singles.get(task, {})
    alone = {SINGLE: [RunFolder(run.folder) for _, run in sorted(singles.items())]} if singles else {}
    return alone | _methods(comparison)


def _methods(comparison: Comparison) -> dict[str, list[RunFolder]]:
    return {
        label: [RunFolder(run.folder) for _, run in sorted(group.items())]
        for label, group in comparison.methods.items()
    }


def _means(group: Sequence[RunFolder], start: str, end: str) -> dict[str, list[Point]]:
    """What lies between `start` and `end` in the names of columns -> the mean of its curves."""
    columns = dict.fromkeys(name for run in group for name in run.columns)
    chosen = [name for name in columns if name.startswith(start) and name.endswith(end)]
    return {
        name.removeprefix(start).removesuffix(end): mean_curve([run.curve(name) for run in group]) for name in chosen
    }
