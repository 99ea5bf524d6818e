"""Runs as a list, best first: for the terminal, as JSON and as CSV. Imports no torch."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import statistics
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from vjo_train.config.signatures import nearest
from vjo_train.errors import CheckpointError, ConfigError
from vjo_train.report.text import figure as digits
from vjo_train.runs.conditions import Condition, known, read_conditions
from vjo_train.runs.directions import best, higher_is_better
from vjo_train.runs.listed import ListedRun, read_listed

UNSAID = {"trainer.resume", "trainer.progress"}
"""Overrides that say nothing of a run."""
CELL = 32
"""Characters of an override's value that are shown at most."""


@dataclass(frozen=True)
class Listing:
    """Runs in their order.

    Attributes:
        runs: best first; those without the figure come last.
        sort: what they are sorted by: a figure, `date` or `name`.
        found: how many fulfilled the conditions; `runs` may be the first of them.
        skipped: what is said of folders that could not be read, one each.
    """

    runs: list[ListedRun]
    sort: str
    found: int
    skipped: list[str]

    @cached_property
    def keys(self) -> list[str]:
        """The overrides that are not the same in all runs; of a single run, all."""
        every = list(dict.fromkeys(key for run in self.runs for key in run.overrides))
        told = [key for key in every if key not in UNSAID and not key.startswith("hydra.")]
        return [key for key in told if len(self.runs) == 1 or len({run.overrides.get(key) for run in self.runs}) > 1]

    @cached_property
    def figures(self) -> list[str]:
        """The names of the figures that are shown: what sorts, then those that stand for the tasks."""
        own = [self.sort] if self.sort not in ("date", "name") else []
        monitors = [bare(name) for run in self.runs for name in run.monitors]
        return list(dict.fromkeys([*map(bare, own), *monitors]))

    @cached_property
    def names(self) -> list[str]:
        """The folders of the runs, from the innermost folder that holds them all."""
        places = [run.folder.absolute() for run in self.runs]
        common = os.path.commonpath([place.parent for place in places]) if places else ""
        return [place.relative_to(common).as_posix() for place in places]


def bare(name: str) -> str:
    """A figure's name without `test/`, which is what figures are of where nothing else is said."""
    return name.removeprefix("test/")


def list_runs(
    folders: Sequence[Path], sort: str = "date", where: Sequence[str] = (), top: int | None = None
) -> Listing:
    """The runs in `folders` that fulfil all conditions, best first.

    Args:
        folders: of runs; those that cannot be read are skipped.
        sort: a figure such as `detection/map_area` (of the test), `val/depth/abs_rel` (the best epoch's), `monitor`
            (the mean of those that stand for the tasks) or `seconds`; `date`: the newest first; `name`.
        where: see `read_conditions`.
        top: how many are kept; None: all.

    Raises:
        ConfigError: a condition that cannot be read, or a figure or key that no run has.
    """
    conditions = read_conditions(where)
    runs, skipped = [], []
    for folder in folders:
        try:
            runs.append(read_listed(folder))
        except CheckpointError as error:
            skipped.append(str(error))
    for condition in conditions:
        _check_key(condition, runs)
    kept = [run for run in runs if all(condition.holds(run, value_of) for condition in conditions)]
    _check_figure(sort, kept or runs)
    if sort in ("date", "name"):
        order: Callable[[ListedRun], Any] = (lambda r: r.date) if sort == "date" else (lambda r: str(r.folder))
        ordered = sorted(kept, key=order, reverse=sort == "date")
    else:
        worst = -math.inf if (higher := _higher(sort, kept)) else math.inf
        values = {run.folder: v if math.isfinite(v := value_of(run, sort)) else worst for run in kept}
        ordered = sorted(kept, key=lambda r: values[r.folder], reverse=higher)
    return Listing(ordered[:top], sort, len(kept), skipped)


def value_of(run: ListedRun, name: str) -> float:
    """A figure of a run by name; NaN where there is none."""
    if name in ("monitor", "test/monitor"):
        values = [run.metrics.get(monitor, math.nan) for monitor in run.monitors]
        return statistics.fmean(values) if values else math.nan
    if name == "seed":
        return float(run.config.get("seed", math.nan))
    if name == "seconds":
        name = "wall_seconds"
    for full in (name, f"test/{name}"):
        if full in run.metrics:
            return run.metrics[full]
    if name.startswith(("val/", "train/")) and name in run.columns():
        return best(run.history(name), higher_is_better(name, run.reported))
    return math.nan


def _higher(name: str, runs: Sequence[ListedRun]) -> bool:
    said = {key: up for run in runs for key, up in run.reported.items()}
    return higher_is_better(name if name.partition("/")[0] in ("val", "train") else bare(name), said)


def _check_figure(sort: str, runs: Sequence[ListedRun]) -> None:
    if sort in ("date", "name", "monitor") or any(math.isfinite(value_of(run, sort)) for run in runs):
        return
    names = {bare(name) for run in runs for name in run.metrics if not name.startswith("train/")}
    columns = {name for run in runs for name in run.columns() if name.startswith(("val/", "train/"))}
    shown = ", ".join(sorted(names)[:12])
    hint = nearest(bare(sort), [*names, *columns]) or (f"; such as {shown}, date or name." if names else ".")
    raise ConfigError(f"sort: found '{sort}', a figure that none of the runs has{hint}")


def _check_key(condition: Condition, runs: Sequence[ListedRun]) -> None:
    if runs and not known(runs, condition.key, value_of):
        names = {bare(name) for run in runs for name in run.metrics}
        keys = {key for run in runs for key in [*run.overrides, *_paths(run.config)]}
        hint = nearest(condition.key, [*names, *keys, "state", "tasks", "date", "name"]) or "."
        raise ConfigError(f"where: found '{condition.key}', which is no key or figure of any of the runs{hint}")


def _paths(node: Any, path: str = "") -> list[str]:
    if not isinstance(node, dict):
        return []
    return [full for key, value in node.items() for full in (f"{path}{key}", *_paths(value, f"{path}{key}."))]


def terminal(listing: Listing, width: int) -> RenderableType:
    """A table, or, where that is wider than `width` characters, some lines for each run."""
    header = ["", "run", "date", "state", "tasks", *listing.figures, *listing.keys]
    rows = [_row(listing, place) for place in range(len(listing.runs))]
    # Names of figures may break at their slashes.
    heads = [max(map(len, name.split("/")), default=0) for name in header]
    cells = [max([head, *(len(row[k]) for row in rows)]) for k, head in enumerate(heads)]
    parts: list[RenderableType] = []
    if sum(cells) + 3 * len(cells) + 1 <= width:
        table = Table()
        last = 5 + len(listing.figures)
        for k, name in enumerate(header):
            table.add_column(
                name.replace("/", "/\n"), justify="right" if k == 0 or 5 <= k < last else "left", no_wrap=True
            )
        for row in rows:
            table.add_row(*map(Text, row))
        parts.append(table)
    else:
        parts += [Text(_block(listing, place, width), overflow="fold") for place in range(len(listing.runs))]
    reasons = [f"{name}: {run.reason}" for name, run in zip(listing.names, listing.runs, strict=True) if run.reason]
    return Group(*parts, *map(Text, reasons))


def _row(listing: Listing, place: int) -> list[str]:
    run = listing.runs[place]
    return [
        str(place + 1),
        listing.names[place],
        run.date.strftime("%Y-%m-%d %H:%M"),
        run.state,
        ", ".join(run.tasks),
        *(digits(value_of(run, name), 4) for name in listing.figures),
        *(_short(run.overrides.get(key, "")) for key in listing.keys),
    ]


def _block(listing: Listing, place: int, width: int) -> str:
    number, name, date, state, tasks, *values = _row(listing, place)
    figures = zip(listing.figures, values, strict=False)
    keys = zip(listing.keys, values[len(listing.figures) :], strict=True)
    lines = [
        f"{date}  {state}  {tasks}",
        "  ".join(f"{key} {value}" for key, value in figures),
        " ".join(f"{key}={value}" for key, value in keys if value),
    ]
    indented = [textwrap.fill(line, width, initial_indent="   ", subsequent_indent="   ") for line in lines if line]
    return "\n".join([f"{number}. {name}", *indented])


def _short(text: str) -> str:
    return text if len(text) <= CELL else text[: CELL - 1] + "…"


def as_json(listing: Listing) -> str:
    """A list of objects, with every figure; null where one is undefined."""
    content = [
        {
            "folder": str(run.folder),
            "date": run.date.isoformat(),
            "state": run.state,
            "reason": run.reason or None,
            "seed": run.config.get("seed"),
            "tasks": list(run.tasks),
            "overrides": dict(run.overrides),
            "sorted_by": _json(value_of(run, listing.sort)) if listing.sort not in ("date", "name") else None,
            "metrics": {name: _json(value) for name, value in sorted(run.metrics.items())},
        }
        for run in listing.runs
    ]
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _json(value: float) -> float | None:
    return value if math.isfinite(value) else None


def as_csv(listing: Listing) -> str:
    """A row for each run, with every override that differs and every figure, in full precision."""
    every = sorted({name for run in listing.runs for name in run.metrics})
    asked = [name for name in listing.figures if name not in every and f"test/{name}" not in every]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["folder", "date", "state", "seed", "tasks", *listing.keys, *asked, *every])
    for run in listing.runs:
        values = [value_of(run, name) for name in [*asked, *every]]
        writer.writerow(
            [
                *(run.folder, run.date.isoformat(), run.state, run.config.get("seed"), " ".join(run.tasks)),
                *(run.overrides.get(key, "") for key in listing.keys),
                *(repr(value) if math.isfinite(value) else "" for value in values),
            ]
        )
    return text.getvalue()
