"""Sections on what the tests came to, method against single-task runs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import fmean

import numpy as np
import numpy.typing as npt

from vjo_train.comparison.colours import legend, style
from vjo_train.comparison.reading import Run
from vjo_train.comparison.summary import SINGLE, Comparison
from vjo_train.pages.answers import class_curves, main_setting, outermost, points, setting_text
from vjo_train.pages.bars import Bar, diverging_chart, signed
from vjo_train.pages.blocks import Block, Figure, Figures, Note, Picture, Pictures, Section, embedded
from vjo_train.pages.folder import RunFolder
from vjo_train.pages.lines import Line, line_chart
from vjo_train.report.examples import FOLDER, Example

PICTURES = 40
"""About so many pictures are shown side by side."""


def classes(comparison: Comparison) -> Section | None:
    """Which classes gain and which lose against the task alone: bars to both sides, for each task and method."""
    blocks: list[Block] = []
    for task, metric in comparison.metrics.items():
        name = f"test/{task}/{metric.removeprefix('m')}"
        gains = {label: class_gains(comparison, label, task, name) for label in comparison.methods}
        known = [abs(v) for own in gains.values() for v in own.values() if math.isfinite(v)]
        if not known:
            continue
        reach = max(known) or 1.0
        charts = []
        for label, own in gains.items():
            if own:
                shown, note = outermost([Bar(one, value, signed(value)) for one, value in own.items()])
                drawn = diverging_chart(
                    shown, f"{task}, {label}", unit=f"points of {metric.removeprefix('m')}", reach=reach
                )
                charts.append(Figure(f"{task}: {label}", drawn, note=note))
        blocks.append(Figures(charts))
    intro = (
        "Figure of the class by the method minus that by the task alone, in hundredths, mean over paired seeds. Small "
        "classes move by chance."
    )
    return Section("Classes that gain and lose", blocks, intro) if blocks else None


def class_gains(comparison: Comparison, label: str, task: str, name: str) -> dict[str, float]:
    """Class -> mean over paired seeds of 100 (method - alone); NaN where one of them is undefined."""
    differences: dict[str, list[float]] = {}
    for seed in comparison.paired_seeds(label):
        joint, alone = (
            _per_class(run, name) for run in (comparison.methods[label][seed], comparison.singles[task][seed])
        )
        for one in joint:
            differences.setdefault(one, []).append(100 * (joint[one] - alone.get(one, math.nan)))
    return {one: fmean(values) for one, values in differences.items()}


def precision_recall_curves(comparison: Comparison) -> Section | None:
    """The mean curve over classes (and seeds) of each method and of the task alone."""
    charts = []
    for task, metric in comparison.metrics.items():
        groups = {SINGLE: comparison.singles.get(task, {}), **comparison.methods}
        lines, what = [], ""
        for label, group in groups.items():
            curves = [found for run in group.values() for found in _mean_curves(run, task, metric)]
            if curves:
                lines.append(Line(label, points(np.mean([c for c, _ in curves], axis=0)), style(comparison, label)))
                what = curves[0][1]
        drawn = line_chart(
            lines,
            f"{task}: precision and recall",
            x_label="recall",
            y_label="precision",
            x_range=(0.0, 1.0),
            y_range=(0.0, 1.0),
        )
        if drawn:
            charts.append(Figure(f"{task}{what}", drawn))
    if not charts:
        return None
    labels = [*([SINGLE] if comparison.singles else []), *comparison.methods]
    intro = "Means over classes and seeds of the greatest precision from each recall on."
    return Section("Precision and recall", [Figures(charts, legend(comparison, labels))], intro)


def _mean_curves(run: Run, task: str, metric: str) -> Iterable[tuple[npt.NDArray[np.float64], str]]:
    """The run's curve and what counts as right in it; nothing where it kept no ranked answers."""
    known = run.records.get(task)
    if known is not None:
        setting = main_setting(known.records, [f"test/{task}/{metric}"], task)
        if (curves := class_curves(known.records, setting)) is not None:
            yield curves.mean, setting_text(known.records, setting)


def pictures(comparison: Comparison) -> Section | None:
    """The same test images by every method and by the tasks alone, of one seed."""
    chosen = _columns(comparison)
    first = {name: {e.image: e for e in run.examples if e.why == "first"} for name, run in chosen.items()}
    shown = {name: own for name, own in first.items() if own}
    if not shown:
        return None
    images = [one for one in next(iter(shown.values())) if all(one in own for own in shown.values())]
    images = images[: max(1, PICTURES // (len(shown) + 1))]
    truths = next((name for name in shown if name in comparison.methods), next(iter(shown)))
    cells = []
    for one in images:
        cells.append(_picture(chosen[truths], shown[truths][one], "truth"))
        cells += [_picture(chosen[name], own[one], "prediction") for name, own in shown.items()]
    blocks: list[Block] = [Pictures("", cells, ["annotated", *shown])]
    if lacking := [name for name in first if name not in shown]:
        blocks.append(Note(f"Without pictures: {', '.join(lacking)}."))
    seeds = sorted({str(run.config.get("seed")) for run in chosen.values()})
    return Section("Predictions side by side", blocks, f"The first test images, by runs of seed {', '.join(seeds)}.")


def _columns(comparison: Comparison) -> dict[str, RunFolder]:
    """Of every method and of each task alone the run of the least seed."""
    groups = [*comparison.methods.items(), *((f"{task} alone", group) for task, group in comparison.singles.items())]
    return {name: RunFolder(group[min(group)].folder) for name, group in groups if group}


def _picture(run: RunFolder, example: Example, what: str) -> Picture:
    path = run.path / FOLDER / (example.truth if what == "truth" else example.prediction)
    if not path.is_file():
        return Picture("", ["(the picture is not there any more)"], "")
    return Picture(embedded(path), [example.image] if what == "truth" else [], f"image {example.image}, {what}")


def _per_class(run: Run, name: str) -> dict[str, float]:
    return {} if run.results is None else run.results.per_class.get(name, {})
