"""Tables for the terminal, as rich renderables; whoever calls prints them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from torch import nn

from vjo_train.report.text import count_text, figure, nanmean

STAGES = ("train", "val", "test")


@dataclass(frozen=True)
class Part:
    """A part of the network and the parameters that no part before it has."""

    name: str
    kind: str
    parameters: int
    trainable: int


def model_parts(sharing: nn.Module, heads: Mapping[str, nn.Module], weighting: nn.Module | None = None) -> list[Part]:
    """Backbone, neck and what else the way of sharing holds, each head, and what the weighting learns.

    A parameter that two parts share counts in the first one only.
    """
    seen: set[int] = set()

    def count(name: str, kind: str, parameters: Iterable[nn.Parameter]) -> Part:
        new = {id(p): p for p in parameters if id(p) not in seen}
        seen.update(new)
        return Part(
            name, kind, sum(p.numel() for p in new.values()), sum(p.numel() for p in new.values() if p.requires_grad)
        )

    inner = [count(name, type(child).__name__, child.parameters()) for name, child in sharing.named_children()]
    own = [count("sharing", type(sharing).__name__, sharing.parameters())]
    parts = [count(task, type(head).__name__, head.parameters()) for task, head in heads.items()]
    learned = [] if weighting is None else [count("weighting", type(weighting).__name__, weighting.parameters())]
    # Hard sharing has nothing beside backbone and neck, and most weightings learn nothing: no empty rows for them.
    return [*inner, *(part for part in own if part.parameters), *parts, *(p for p in learned if p.parameters)]


def model_summary(
    sharing: nn.Module, heads: Mapping[str, nn.Module], weighting: nn.Module | None = None
) -> RenderableType:
    """The network by part: class, parameters, how many of them are trained."""
    parts = model_parts(sharing, heads, weighting)
    table = Table(title="Model", title_justify="left", title_style="bold", show_footer=True)
    total, trainable = sum(p.parameters for p in parts), sum(p.trainable for p in parts)
    table.add_column("part", footer="all", style="cyan", no_wrap=True)
    table.add_column("class", overflow="ellipsis", no_wrap=True)
    table.add_column("parameters", count_text(total), justify="right", no_wrap=True)
    table.add_column("trained", count_text(trainable), justify="right", no_wrap=True)
    for part in parts:
        table.add_row(part.name, part.kind, count_text(part.parameters), count_text(part.trainable))
    return table


def metrics_table(metrics: Mapping[str, float], monitors: Sequence[str] = ()) -> RenderableType:
    """A row per task and metric, a column per stage (`val`, `test`); the `monitors` are bold.

    Figures of training, and those of no task, are left out.
    """
    names = [tuple(name.split("/")) for name in metrics]
    scalars = [n for n in names if len(n) == 3 and n[0] in STAGES[1:]]
    stages = [stage for stage in STAGES[1:] if any(n[0] == stage for n in scalars)]
    table = Table(title="Results", title_justify="left", title_style="bold")
    table.add_column("task", style="cyan", overflow="fold")
    table.add_column("metric", overflow="fold")
    for stage in stages:
        table.add_column(stage, justify="right", no_wrap=True)
    tasks = list(dict.fromkeys(n[1] for n in scalars))
    for task in tasks:
        rows = list(dict.fromkeys(n[2] for n in scalars if n[1] == task))
        for k, metric in enumerate(rows):
            keys = [f"{stage}/{task}/{metric}" for stage in stages]
            table.add_row(
                task if k == 0 else "",
                metric,
                *(figure(metrics[key], 4) if key in metrics else "" for key in keys),
                style="bold" if set(keys) & set(monitors) else None,
                end_section=k == len(rows) - 1,
            )
    return table


def parts_table(parts: Mapping[str, Mapping[str, float]], monitors: Sequence[str]) -> RenderableType:
    """A row per data set of a mixture, a column per monitored figure."""
    table = Table(title="By data set, test", title_justify="left", title_style="bold")
    table.add_column("data set", style="cyan", overflow="fold")
    shown = [name for name in monitors if any(name in figures for figures in parts.values())]
    for name in shown:
        _, task, metric = name.split("/")
        table.add_column(f"{task}\n{metric}", justify="right", overflow="fold")
    for part, figures in parts.items():
        table.add_row(part, *(figure(figures[name], 4) if name in figures else "" for name in shown))
    return table


def per_class_table(
    per_class: Mapping[str, Mapping[str, float]], stage: str = "test", width: int = 80
) -> RenderableType:
    """A row per class and a column per metric of `stage`; one table per task where they do not fit into `width`."""
    chosen = {name: values for name, values in per_class.items() if name.startswith(f"{stage}/")}
    together = _class_table(f"Per class, {stage}", chosen)
    if _natural_width(chosen) <= width:
        return together
    tasks = list(dict.fromkeys(name.split("/")[1] for name in chosen))
    return Group(
        *(
            _class_table(
                f"Per class, {stage}: {task}", {n: v for n, v in chosen.items() if n.split("/")[1] == task}, short=True
            )
            for task in tasks
        )
    )


def _class_table(title: str, figures: Mapping[str, Mapping[str, float]], short: bool = False) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", show_footer=True)
    table.add_column("class", footer="mean", style="cyan", overflow="fold")
    for name, values in figures.items():
        _, task, metric = name.split("/")
        header = metric if short else f"{task}\n{metric}"
        table.add_column(header, figure(nanmean(values.values()), 3), justify="right", overflow="fold")
    for label in dict.fromkeys(label for values in figures.values() for label in values):
        table.add_row(label, *(figure(values.get(label, math.nan), 3) for values in figures.values()))
    return table


def _natural_width(figures: Mapping[str, Mapping[str, float]]) -> int:
    labels = max((len(label) for values in figures.values() for label in values), default=0)
    cells = [max(labels, len("class")), *(max(len(part) for part in n.split("/")[1:]) for n in figures)]
    return sum(cells) + 3 * len(cells) + 1


def note(text: str) -> Text:
    """A dim remark below a table."""
    return Text(text, style="dim")
