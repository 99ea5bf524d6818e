"""Sections on what a run came to: its figures, results by class, precision-recall curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vjo_train.pages.bars import Bar, bar_chart
from vjo_train.pages.blocks import Block, Figure, Figures, Key, Note, Section, Table
from vjo_train.pages.folder import RunFolder
from vjo_train.pages.lines import Line, line_chart
from vjo_train.pages.svg import COLOURS
from vjo_train.report.text import figure as digits
from vjo_train.runs.average_precision import interpolated_precision, mean_over_defined
from vjo_train.runs.records import Matches, Records, Scores

RECALLS = 100
"""Steps of recall at which curves are drawn."""
MEAN = 6
"""The colour of means: grey."""
SIDES = 12
"""Of more than twice as many classes, so many of the best and of the worst have bars."""


def figures(run: RunFolder) -> Section | None:
    """Every test figure by task."""
    if run.results is None:
        return None
    found = [name.split("/") for name in run.results.metrics if name.startswith("test/") and name.count("/") == 2]
    rows = [
        [
            task,
            f"{metric} *" if f"test/{task}/{metric}" in run.results.monitors else metric,
            digits(run.results.metrics[f"test/{task}/{metric}"], 4),
        ]
        for _, task, metric in found
    ]
    intro = "On the test split, by the checkpoint that was best on val. The figure marked * stands for its task."
    parts = run.results.parts
    names = ["task", "metric", "all" if parts else "value", *parts]
    for row, (_, task, metric) in zip(rows, found, strict=True):
        row += [_of_part(figures, f"test/{task}/{metric}") for figures in parts.values()]
    intro += " The columns behind it are over the images of one data set each." if parts else ""
    return Section("Test figures", [Table("", names, rows, left=2)] if rows else [], intro)


def _of_part(figures: Mapping[str, float], name: str) -> str:
    return digits(figures[name], 4) if name in figures else ""


def classes(run: RunFolder) -> Section | None:
    """Bars and a table of the figures of each class."""
    if run.results is None or not run.results.per_class:
        return None
    charts, tables = [], []
    for task in run.tasks:
        own = {n.rpartition("/")[2]: v for n, v in run.results.per_class.items() if n.split("/")[1] == task}
        if not own:
            continue
        main = main_per_class(run.results.monitors, task, list(own))
        bars = [Bar(name, value, digits(value, 3)) for name, value in own[main].items()]
        shown, note = outermost(bars)
        charts.append(
            Figure(f"{task}: {main} by class", bar_chart(shown, f"{task} by class", unit=main, most=1.0), note=note)
        )
        names = list(own[main])
        rows = [[name, *(digits(values.get(name, math.nan), 4) for values in own.values())] for name in names]
        tables.append(Table(task, ["class", *own], rows))
    intro = "A dash stands where the test split has no object of the class."
    return Section("Results by class", [Figures(charts), *tables], intro)


def outermost(bars: Sequence[Bar]) -> tuple[list[Bar], str]:
    """The bars, greatest first, and, where there are many, only the outermost ones, with a note that says so."""
    known = sorted((bar for bar in bars if math.isfinite(bar.value)), key=lambda bar: -bar.value)
    if len(bars) <= 2 * SIDES:
        return known + [bar for bar in bars if not math.isfinite(bar.value)], ""
    if len(known) <= 2 * SIDES:
        return known, f"{len(bars) - len(known)} classes without a figure are left out."
    return known[:SIDES] + known[-SIDES:], f"The {SIDES} greatest and the {SIDES} least of {len(known)} classes."


def main_per_class(monitors: Sequence[str], task: str, names: Sequence[str]) -> str:
    """The per-class figure whose mean stands for the task (`ap_area` of `map_area`), else the first one."""
    wanted = [monitor.rpartition("/")[2].removeprefix("m") for monitor in monitors if monitor.split("/")[1] == task]
    return next((name for name in wanted if name in names), names[0])


def precision_recall_curves(run: RunFolder) -> Section | None:
    """Precision over recall of each class and their mean, for tasks whose answers are ranked."""
    if run.results is None:
        return None
    charts = []
    for task, known in run.records.items():
        setting = main_setting(known.records, run.results.monitors, task)
        curves = class_curves(known.records, setting)
        if curves is not None:
            charts.append(_curves_figure(task, curves, class_names(run, task), setting_text(known.records, setting)))
    blocks: list[Block] = [Figures(charts)] if charts else []
    if not run.records:
        blocks = [Note("The test kept no records by image, from which these curves are drawn.")]
    intro = (
        "Answers of the test in order of score: what share of them is right, against what share of all objects (or "
        "images that show a class) they find. At each recall the greatest precision from there on. The mean over "
        "classes is bold."
    )
    return Section("Precision and recall", blocks, intro) if blocks else None


@dataclass(frozen=True)
class ClassCurves:
    """[C, RECALLS + 1] precision by class and recall, NaN for classes without positives, and [C] their means."""

    precision: npt.NDArray[np.float64]

    @property
    def mean(self) -> npt.NDArray[np.float64]:
        """[RECALLS + 1] over the classes that are defined."""
        return np.array([mean_over_defined(column) for column in self.precision.T])


def class_curves(records: Records, setting: int = 0) -> ClassCurves | None:
    """The curves of each class; None where answers are not ranked, or there is nothing to find."""
    if isinstance(records, Scores):
        ranked = [(records.ranked(c)[0], records.positives(c)) for c in range(records.scores.shape[1])]
    elif isinstance(records, Matches):
        ranked = [(records.ranked(c, setting)[0], records.positives(c)) for c in range(records.objects.shape[1])]
    else:
        return None
    found = np.stack([interpolated_precision(hits, positives, RECALLS) for hits, positives in ranked])
    return None if np.isnan(found).all() else ClassCurves(found)


def main_setting(records: Records, monitors: Sequence[str], task: str) -> int:
    """The setting of `Matches` whose metric stands for the task, else the first."""
    if isinstance(records, Matches):
        named = [f"test/{task}/{metric}" for metric in records.metrics]
        return next((k for k, name in enumerate(named) if name in monitors), 0)
    return 0


def setting_text(records: Records, setting: int) -> str:
    """What counts as right, by the metric's name; empty where there is but one way."""
    return f", as in {records.metrics[setting]}" if isinstance(records, Matches) else ""


def class_names(run: RunFolder, task: str) -> list[str]:
    """The names of a head's classes in the order of their labels; none where the config does not say."""
    head = (run.config.get("heads") or {}).get(task) or {}
    named = head.get("classes") or (run.config.get("dataset") or {}).get("classes") or []
    return [str(name) for name in named]


def _curves_figure(task: str, curves: ClassCurves, names: Sequence[str], what: str) -> Figure:
    """Colours for all classes where they suffice, else for the three best and the three worst."""
    means = curves.precision.mean(axis=1)
    order = sorted((c for c in range(len(means)) if not math.isnan(means[c])), key=lambda c: -means[c])
    chosen = sorted(order) if len(order) < COLOURS else order[:3] + order[-3:]
    named = {c: names[c] if c < len(names) else f"class {c}" for c in order}
    grey = [Line(named[c], points(curves.precision[c]), MEAN, "faint") for c in order if c not in chosen]
    lines = [Line(named[c], points(curves.precision[c]), _style(k), "thin") for k, c in enumerate(chosen)]
    keys = [Key("mean", MEAN), *(Key(line.name, line.style) for line in lines)]
    lines = [*grey, *lines]
    lines.append(Line("mean over classes", points(curves.mean), MEAN))
    drawn = line_chart(
        lines,
        f"{task}: precision and recall",
        x_label="recall",
        y_label="precision",
        x_range=(0.0, 1.0),
        y_range=(0.0, 1.0),
    )
    note = f"{len(order) - len(chosen)} further classes in grey." if len(chosen) < len(order) else ""
    return Figure(f"{task}{what}", drawn, keys, note)


def points(precision: npt.NDArray[np.float64]) -> list[tuple[float, float]]:
    """The curve as points (recall, precision)."""
    return [(k / RECALLS, float(value)) for k, value in enumerate(precision)]


def _style(place: int) -> int:
    """Colours without the one of the mean."""
    return place if place < MEAN else place + 1
