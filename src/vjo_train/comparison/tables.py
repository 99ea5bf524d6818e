"""A comparison as tables: for the terminal, as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from vjo_train.comparison import checks
from vjo_train.comparison.delta import Interval
from vjo_train.comparison.summary import SINGLE, Comparison
from vjo_train.report.text import count_text, duration, figure, markdown, spread

EQUAL = {
    "steps": "per task as many images as alone, in as many steps",
    "epochs": "per task as many images as alone, in any number of steps",
    "compute": "a method has as many whole epochs as cost, forward and backward, what all tasks alone cost together",
}
"""`compare.budget` -> what it says."""


@dataclass(frozen=True)
class Sheet:
    """A table of text: the first `left` columns hold names, the others figures."""

    title: str
    header: list[str]
    rows: list[list[str]]
    left: int = 1


def sheets(comparison: Comparison) -> list[Sheet]:
    """All tables of a comparison."""
    return [answer(comparison), figures(comparison), gains(comparison), costs(comparison), budgets(comparison)]


def answer(comparison: Comparison) -> Sheet:
    """Does joint training win? delta_m of each method."""
    rows = []
    for label in comparison.methods:
        delta = comparison.delta_m(label)
        rows.append([label, interval_text(delta), comparison.basis(label), verdict(comparison, label)])
    title = f"delta_m: mean gain over the single-task runs in %, with {comparison.level:.0%} interval"
    return Sheet(title, ["method", "delta_m", "interval over", "verdict"], rows)


def figures(comparison: Comparison) -> Sheet:
    """Every test figure of every method, mean and deviation over seeds."""
    labels = [*([SINGLE] if comparison.singles else []), *comparison.methods]
    main = comparison.counting
    rows = []
    for name in comparison.names():
        task, metric = name.split("/")
        shown = f"{metric} *" if name in main else metric
        rows.append([task, shown, *(spread(comparison.values(label, name)) for label in labels)])
    title = "Test figures: mean ± deviation over seeds (* counts in delta_m)"
    return Sheet(title, ["task", "metric", *labels], rows, left=2)


def gains(comparison: Comparison) -> Sheet:
    """The relative gain of every metric that counts."""
    labels = list(comparison.methods)
    rows = [
        [*name.split("/"), *(interval_text(comparison.gain(label, name)) for label in labels)]
        for name in comparison.counting
    ]
    return Sheet("Gain over the task alone in %", ["task", "metric", *labels], rows if labels else [], left=2)


def costs(comparison: Comparison) -> Sheet:
    """Parameters, time and speed; the single-task networks together, as they would be used together."""
    found = {label: comparison.cost(label) for label in (SINGLE, *comparison.methods)}
    known = {label: cost for label, cost in found.items() if cost is not None}
    inference = all(cost.at_inference for cost in known.values())
    rows = [
        [
            label,
            count_text(round(cost.parameters)),
            figure(cost.flops / 1e9, 2),
            duration(cost.seconds),
            figure(cost.images_per_second, 1),
        ]
        for label, cost in known.items()
    ]
    speed = "images/s at inference" if inference else "images/s in training"
    title = "Cost of one seed (single-task: all its networks, one after another)"
    return Sheet(title, ["method", "parameters", "GFLOPs an image", "training", speed], rows)


def budgets(comparison: Comparison) -> Sheet:
    """What each case could spend, and what its trials have chosen; nothing where all are alike."""
    groups = {f"{task} alone": group for task, group in comparison.singles.items()} | dict(comparison.methods)
    rows = []
    for label, group in groups.items():
        run = group[min(group)]
        tuned, results = (run.config.get("compare") or {}).get("tune"), run.results
        assert results is not None
        weights = run.config["weighting"].get("lambdas") if run.single is None else None
        shown = ", ".join(f"{task} {weight}" for task, weight in (weights or {}).items())
        trials = "-" if tuned is None else str(tuned)
        rows.append([label, trials, str(run.config["optimizer"]["lr"]), shown, str(results.epochs), str(results.steps)])
    header = ["case", "trials", "optimizer.lr", "weights", "epochs", "steps"]
    told = comparison.budget == "compute" or any(row[1] != "-" for row in rows)
    return Sheet(
        "Budgets: trials on val by which each case was tuned, and the length of a run", header, rows if told else []
    )


def warnings(comparison: Comparison) -> list[str]:
    """Everything that a reader must know before believing the tables."""
    runs = [run for group in (*comparison.methods.values(), *comparison.singles.values()) for run in group.values()]
    found = [f"Not finished: {folder}." for folder in comparison.unfinished]
    if comparison.methods:
        lacking = checks.missing(comparison.methods, comparison.singles, comparison.tasks)
        found += [f"Missing: {text}." for text in lacking]
    else:
        found.append("Missing: no multi-task run, so there is nothing to compare.")
    for label, differences in comparison.budgets.items():
        shown = "; ".join(differences[:3]) + (f"; and {len(differences) - 3} more" if len(differences) > 3 else "")
        if differences:
            found.append(f"Unequal budgets, so no gains for {label}: {shown}.")
    found += [f"Settings differ: {text}." for text in checks.setting_differences(runs)]
    found += [f"Differs: {text}." for text in checks.environment_differences(runs)]
    for label in comparison.methods:
        if comparison.paired_seeds(label) and not comparison.delta_m(label).known:
            found.append(f"No interval for {label}: {_why_no_interval(comparison, label)}.")
    return found


def _why_no_interval(comparison: Comparison, label: str) -> str:
    names = comparison.counting
    if undefined := [name for name in names if not math.isfinite(comparison.gain(label, name).mean)]:
        return f"the gain of {', '.join(undefined)} is undefined (a single-task figure is 0 or undefined)"
    if len(comparison.paired_seeds(label)) == 1 and comparison.interval == "seeds":
        return "one seed has no spread"
    return "the tests kept no records by image from which these metrics follow, or some samples leave them undefined"


def remarks(comparison: Comparison) -> list[str]:
    """How the figures come about."""
    return [
        "delta_m is the mean over tasks (of several metrics of a task, their mean) of (joint - alone) / |alone|, "
        "signed so that more is better, in %; each run is paired with the single-task runs of its own seed.",
        "Intervals over seeds are Student's t intervals of the paired gains; over images, percentile intervals of a "
        "bootstrap that draws the same test images for both runs and all tasks. They are not corrected for the number "
        "of methods.",
        f"Equal budgets: {EQUAL[comparison.budget]}. Checkpoints are picked on val; the test split is measured once.",
    ]


def verdict(comparison: Comparison, label: str) -> str:
    """`better`, `worse`, `no clear difference`, or why nothing is said."""
    if comparison.budgets[label]:
        return "unequal budgets"
    if not comparison.paired_seeds(label):
        return "no single-task runs of its seeds"
    delta = comparison.delta_m(label)
    return delta.verdict if delta.known else "no interval"


def interval_text(interval: Interval) -> str:
    """`+1.20 [-0.31, +2.71]`; without bounds `+1.20`, and a dash where nothing is known."""
    if not math.isfinite(interval.mean):
        return "-"
    mean = f"{interval.mean:+.2f}"
    return f"{mean} [{interval.low:+.2f}, {interval.high:+.2f}]" if interval.known else mean


def terminal(comparison: Comparison) -> RenderableType:
    """All tables and warnings, as a rich renderable."""
    parts: list[RenderableType] = [as_table(sheet) for sheet in sheets(comparison) if sheet.rows]
    parts += [Text(text, style="yellow") for text in warnings(comparison)]
    return Group(*parts)


def as_table(sheet: Sheet) -> Table:
    """A table for the terminal."""
    table = Table(title=sheet.title, title_justify="left", title_style="bold")
    for k, name in enumerate(sheet.header):
        table.add_column(Text(name), justify="left" if k < sheet.left else "right", overflow="fold")
    for row in sheet.rows:
        table.add_row(*map(Text, row))
    return table


def as_markdown(comparison: Comparison) -> str:
    """All tables, warnings and remarks."""
    found = warnings(comparison)
    text = "# Does joint training win?\n"
    text += "".join(f"\n> **Warning.** {line}\n" for line in found)
    for sheet in sheets(comparison):
        if sheet.rows:
            text += f"\n{sheet.title}:\n\n{markdown(sheet.header, sheet.rows)}"
    return text + "\n" + "".join(f"- {line}\n" for line in remarks(comparison))


def as_csv(comparison: Comparison) -> str:
    """One row per method and figure, in full precision; gains and their bounds are in percent."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["method", "task", "metric", "seeds", "mean", "deviation", "gain", "gain_low", "gain_high"])
    for label in [*([SINGLE] if comparison.singles else []), *comparison.methods]:
        for name in comparison.names():
            gained = Interval(math.nan) if label == SINGLE else comparison.gain(label, name)
            writer.writerow([label, *name.split("/"), *_numbers(comparison.values(label, name), gained)])
        if label != SINGLE:
            delta = comparison.delta_m(label)
            seeds = len(comparison.paired_seeds(label))
            writer.writerow([label, "all", "delta_m", seeds, "", "", *map(_cell, (delta.mean, delta.low, delta.high))])
        if (cost := comparison.cost(label)) is not None:
            speed = "inference_images_per_second" if cost.at_inference else "training_images_per_second"
            for metric, value in (
                ("parameters", cost.parameters),
                ("inference_flops", cost.flops),
                ("training_seconds", cost.seconds),
                (speed, cost.images_per_second),
            ):
                writer.writerow([label, "all", metric, "", _cell(value), "", "", "", ""])
    return text.getvalue()


def _numbers(values: Sequence[float], gained: Interval) -> list[str]:
    mean = fmean(values) if values else math.nan
    deviation = stdev(values) if len(values) > 1 else math.nan
    return [str(len(values)), *map(_cell, (mean, deviation, gained.mean, gained.low, gained.high))]


def _cell(value: float) -> str:
    return repr(float(value)) if math.isfinite(value) else ""
