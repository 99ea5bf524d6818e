"""A label curve as tables and as `report.html`."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from statistics import fmean

from vjo_train.comparison import page, tables
from vjo_train.comparison.colours import number
from vjo_train.comparison.label_curve import LabelCurve
from vjo_train.comparison.summary import SINGLE
from vjo_train.pages.blocks import Figure, Figures, Key, Note, Section, Table
from vjo_train.pages.lines import Line, line_chart
from vjo_train.pages.page import render
from vjo_train.report.text import markdown, spread

TITLE = "What are labels worth?"


def sheets(curve: LabelCurve) -> list[tables.Sheet]:
    """The figures at each share, what each method has more than the tasks alone and than the first method, and how many
    labels are enough.
    """
    return [_figures(curve), *_differences(curve), _enough(curve)]


def _figures(curve: LabelCurve) -> tables.Sheet:
    rows = []
    for name in curve.figures:
        for share in curve.at:
            values = (list(curve.values(label, share, name).values()) for label in curve.labels)
            task, metric = name.split("/")
            rows.append([task, metric, _images(curve, share, task), *(spread(own) if own else "-" for own in values)])
    title = "Test figures by share of the labels: mean ± deviation over seeds"
    return tables.Sheet(title, ["task", "metric", "labels", *curve.labels], rows, left=3)


def _differences(curve: LabelCurve) -> list[tables.Sheet]:
    found = []
    methods = [label for label in curve.labels if label != SINGLE]
    for other in [label for label in (SINGLE, *methods[:1]) if label in curve.labels]:
        against = [label for label in methods if label != other]
        if not against:
            continue
        rows = []
        for name in curve.figures:
            for share in curve.at:
                cells = [tables.interval_text(curve.difference(label, other, share, name)) for label in against]
                rows.append([*name.split("/"), _percent(share), *cells])
        title = f"Points (hundredths) better than {other}, with {curve.level:.0%} interval over paired seeds"
        found.append(tables.Sheet(title, ["task", "metric", "share", *against], rows, left=3))
    return found


def _enough(curve: LabelCurve) -> tables.Sheet:
    rows = []
    for name in curve.figures if 1.0 in curve.at else []:
        shares = (curve.enough(label, name) for label in curve.labels)
        rows.append([*name.split("/"), *("-" if share is None else _percent(share) for share in shares)])
    title = "Least share of the labels with which the mean is that of the task alone with all of them"
    return tables.Sheet(title, ["task", "metric", *curve.labels], rows, left=2)


def _images(curve: LabelCurve, share: float, task: str) -> str:
    count = curve.images(share, task)
    return _percent(share) if math.isnan(count) else f"{_percent(share)} ({count:.0f} images)"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def as_html(curve: LabelCurve, output: Path) -> str:
    """The page; `output` is the folder that it will lie in."""
    keys = [Key(label, _style(curve, label)) for label in curve.labels]
    charts = [Figure(name.replace("/", ": "), _chart(curve, name)) for name in curve.figures]
    made = [_table(sheet) for sheet in sheets(curve) if sheet.rows]
    intro = "Bold: the mean over seeds; faint: each seed. The tasks alone have the same labels, images and steps."
    sections = [Section("The curve", [Figures(charts, keys)], intro), Section("Figures", made)]
    for share, comparison in curve.at.items():
        runs = page.runs(comparison, output)
        sections += [] if runs is None else [Section(f"Runs with {_percent(share)} of the labels", runs.blocks)]
    warned = [f"With {_percent(share)} of the labels: {text}" for share, one in curve.at.items()
              for text in tables.warnings(one)]  # fmt: skip
    said = [", ".join(curve.widest.tasks), output.resolve().name]
    return render(TITLE, subtitle=" · ".join(said), tiles=[], notes=[Note(text, "warning") for text in warned[:4]],
                  sections=sections)  # fmt: skip


def _chart(curve: LabelCurve, name: str) -> str:
    lines = []
    for label in curve.labels:
        style = _style(curve, label)
        each = {share: curve.values(label, share, name) for share in curve.at}
        for seed in sorted({seed for own in each.values() for seed in own}):
            points = [(100 * share, own[seed]) for share, own in each.items() if seed in own]
            lines.append(Line(f"{label}, seed {seed}", points, style, "faint"))
        means = [(100 * share, fmean(own.values())) for share, own in each.items() if own]
        lines.append(Line(label, means, style, "bold"))
    return line_chart(lines, name, x_label="% of the labels")


def _style(curve: LabelCurve, label: str) -> int:
    return number([one for one in curve.labels if one != SINGLE], label)


def _table(sheet: tables.Sheet) -> Table:
    return Table(sheet.title, sheet.header, sheet.rows, sheet.left)


def as_markdown(curve: LabelCurve) -> str:
    """All tables."""
    text = f"# {TITLE}\n"
    for sheet in sheets(curve):
        text += f"\n{sheet.title}:\n\n{markdown(sheet.header, sheet.rows)}" if sheet.rows else ""
    return text


def as_csv(curve: LabelCurve) -> str:
    """One row per method, share, seed and figure, in full precision."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["method", "share", "seed", "task", "metric", "value"])
    for label in curve.labels:
        for share in curve.at:
            for name in curve.figures:
                for seed, value in curve.values(label, share, name).items():
                    writer.writerow([label, repr(share), seed, *name.split("/"), repr(value)])
    return text.getvalue()
