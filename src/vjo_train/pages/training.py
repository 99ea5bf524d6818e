"""Sections on how a training went: learning curves, task weights, conflict between the tasks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from vjo_train.pages.blocks import Block, Figure, Figures, Key, Note, Section
from vjo_train.pages.folder import RunFolder
from vjo_train.pages.lines import Line, line_chart
from vjo_train.pages.scale import Point, number_text

TRAIN, VAL = 0, 1
"""The colours of training and validation."""
CONFLICT = ("cosine", "conflict_share", "gradient_norm", "update_norm", "condition")
"""What the weighting logs of the task gradients, below `train/weighting/`."""


def learning_curves(run: RunFolder) -> Section | None:
    """Losses by task, validation metrics, learning rate and speed."""
    if not run.history:
        return None
    ends = [(name, stage) for stage in ("train", "val") for name in _columns(run, f"{stage}/", "/loss")]
    names = list(dict.fromkeys(name.removeprefix(f"{stage}/").removesuffix("/loss") for name, stage in ends))
    losses = [
        figure(
            f"{name}: loss", {"training": run.curve(f"train/{name}/loss"), "validation": run.curve(f"val/{name}/loss")}
        )
        for name in names
    ]
    metrics = [figure(f"{task}: validation metrics", _metrics(run, task)) for task in run.trained]
    others = {"learning rate": "train/lr", "training speed in images/s": "images_per_second"}
    if len(run.tasks) > 1:
        others = {"mean over the tasks: picks the checkpoint": "val/monitor"} | others
    blocks = [
        _charts(losses, (Key("training", TRAIN), Key("validation", VAL))),
        _charts(metrics),
        _charts([figure(title, {"": run.curve(column)}) for title, column in others.items()]),
    ]
    return Section("Learning curves", [block for block in blocks if block.figures], _length(run))


def task_weights(run: RunFolder) -> Section | None:
    """What every task's loss or gradient counted."""
    columns = _columns(run, "train/", "/weight")
    if len(columns) < 2:
        return None
    curves = {name.removeprefix("train/").removesuffix("/weight"): run.curve(name) for name in columns}
    values = [value for curve in curves.values() for _, value in curve if math.isfinite(value)]
    if max(values) - min(values) < 1e-9:
        blocks: list[Block] = [Note(f"Every task weighed {number_text(values[0])} in every epoch.")]
    else:
        blocks = [_charts([figure("weight by task, mean of each epoch", curves)])]
    return Section("Task weights", blocks, "A task of weight 2 pulls twice as hard at the shared layers as one of 1.")


def conflict(run: RunFolder) -> Section | None:
    """Cosines, norms and shares of conflict of the task gradients."""
    if len(run.tasks) < 2 or not run.history:
        return None
    found = _grouped(run, "train/weighting/")
    cosines = {" and ".join(name.split("/")): curve for name, curve in found.get("cosine", {}).items()}
    titles = {
        "cosine between the tasks' gradients": (cosines, (-1.0, 1.0)),
        "share of pairs in conflict (cosine below 0)": (found.get("conflict_share", {}), (0.0, 1.0)),
        "norm of the gradients": (found.get("gradient_norm", {}), None),
        "condition of the gradients, log10": (_log10(found.get("condition", {})) if cosines else {}, None),
    }
    shown = _charts([figure(title, curves, limits) for title, (curves, limits) in titles.items()])
    if not shown.figures:
        return Section(
            "Conflict", [Note("Not logged in this run; weighting.diagnose_every=50 looks at every fiftieth batch.")]
        )
    intro = (
        "Gradients of the shared layers, means of each epoch. Below 0, what helps one task harms the other; at 0 they "
        "do not touch each other."
    )
    return Section("Conflict", [shown], intro)


def teacher(run: RunFolder) -> Section | None:
    """How much a teacher labelled, and how much of it is right where the truth is there."""
    charts = []
    for title, end in (
        ("share of the images without a label that the teacher labelled", "/taught"),
        ("share of its statements that are right", "/taught_right"),
    ):
        columns = _columns(run, "train/", end)
        curves = {name.removeprefix("train/").removesuffix(end): run.curve(name) for name in columns}
        charts.append(figure(title, curves, (0.0, 1.0)))
    shown = _charts(charts)
    intro = (
        "Means of each epoch. Right: of the classes, pixels and objects that it was sure of, by labels that"
        " dataset.labels withholds from training; not known for images that were never labelled."
    )
    return Section("Images without labels", [shown], intro) if shown.figures else None


def other_figures(run: RunFolder) -> Section | None:
    """What else the weighting and the sharing logged."""
    groups = {f"weighting: {n}": c for n, c in _grouped(run, "train/weighting/").items() if n not in CONFLICT}
    groups |= {f"sharing: {n}": c for n, c in _grouped(run, "train/sharing/").items()}
    shown = _charts([figure(title, curves) for title, curves in groups.items()])
    return Section("Weighting and sharing", [shown]) if shown.figures else None


def figure(title: str, curves: Mapping[str, Sequence[Point]], limits: Point | None = None) -> Figure | None:
    """A chart over epochs with a colour for each curve; None where no curve has a point.

    The legend names the curves, but for one without a name.
    """
    lines = [Line(name or title, points, style) for style, (name, points) in enumerate(curves.items())]
    drawn = line_chart(lines, title, x_label="epoch", y_range=limits, whole=True)
    if not drawn:
        return None
    return Figure(title, drawn, [Key(name, style) for style, name in enumerate(curves) if name])


def _columns(run: RunFolder, start: str, end: str) -> list[str]:
    return [name for name in run.columns if name.startswith(start) and name.endswith(end) and run.has(name)]


def _metrics(run: RunFolder, task: str) -> dict[str, list[Point]]:
    columns = [n for n in run.columns if n.startswith(f"val/{task}/") and not n.endswith("/loss") and n.count("/") == 2]
    return {name.rpartition("/")[2]: run.curve(name) for name in columns}


def _grouped(run: RunFolder, start: str) -> dict[str, dict[str, list[Point]]]:
    """Group -> name -> curve, of the columns `<start><group>/<name>`; the name is empty in `<start><group>`."""
    groups: dict[str, dict[str, list[Point]]] = {}
    for column in run.columns:
        if column.startswith(start):
            group, _, name = column.removeprefix(start).partition("/")
            groups.setdefault(group, {})[name] = run.curve(column)
    return groups


def _log10(curves: Mapping[str, Sequence[Point]]) -> dict[str, list[Point]]:
    return {
        name: [(x, math.log10(y) if 0 < y < math.inf else math.nan) for x, y in curve] for name, curve in curves.items()
    }


def _charts(figures: Sequence[Figure | None], legend: Sequence[Key] = ()) -> Figures:
    """Those that have a chart; with a common `legend`, without their own."""
    shown = [one for one in figures if one is not None]
    return Figures([replace(one, legend=()) for one in shown] if legend else shown, legend)


def _length(run: RunFolder) -> str:
    steps = run.history[-1].get("step", "")
    epochs = len(run.history)
    return f"{epochs} epoch{'s' if epochs > 1 else ''}" + (f", {steps} steps." if steps else ".")
