"""What several runs came to: one table for the terminal, as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import OmegaConf
from rich.console import Group, RenderableType
from rich.table import Table

from vjo_train.files import write_atomically
from vjo_train.report.tables import note
from vjo_train.report.text import figure, markdown, spread
from vjo_train.runs.results import read_results
from vjo_train.runs.run_folder import TUNED, split_overrides


@dataclass(frozen=True)
class Run:
    """One run of a sweep; `metrics` is None if it did not finish."""

    name: str
    overrides: Mapping[str, str]
    monitors: Sequence[str]
    metrics: Mapping[str, float] | None
    images_per_second: float = math.nan
    wall_seconds: float = math.nan


@dataclass(frozen=True)
class Sweep:
    """Runs side by side.

    Attributes:
        runs: in the order of their folders.
        keys: the overrides that differ between them.
        metrics: the names of the metrics shown.
    """

    runs: list[Run]
    keys: list[str]
    metrics: list[str]

    def header(self) -> list[str]:
        """The columns of `rows`."""
        return ["run", *self.keys, *self.metrics, "images/s", "seconds"]

    def rows(self) -> list[list[str]]:
        """A row per run; figures have four digits, and a run without results has dashes."""
        return [
            [
                run.name,
                *(run.overrides.get(key, "") for key in self.keys),
                *(figure((run.metrics or {}).get(name, math.nan), 4) for name in self.metrics),
                figure(run.images_per_second, 1),
                figure(run.wall_seconds, 0),
            ]
            for run in self.runs
        ]

    def over_seeds(self) -> tuple[list[str], list[list[str]]]:
        """Header and rows of mean ± sample deviation over the seeds; no rows where nothing else but seeds differs."""
        others = [key for key in self.keys if key != "seed"]
        groups: dict[tuple[str, ...], list[Run]] = {}
        for run in self.runs:
            if run.metrics is not None:
                groups.setdefault(tuple(run.overrides.get(key, "") for key in others), []).append(run)
        header = [*others, "seeds", *self.metrics]
        if "seed" not in self.keys or not any(len(group) > 1 for group in groups.values()):
            return header, []
        return header, [
            [*values, str(len(group)), *(spread([_value(run, name) for run in group]) for name in self.metrics)]
            for values, group in groups.items()
        ]

    @property
    def unfinished(self) -> list[str]:
        """The names of the runs without results."""
        return [run.name for run in self.runs if run.metrics is None]


def find_runs(folder: Path) -> list[Path]:
    """The run folders below a multirun folder, finished or not, in natural order (2 before 10); trials are no runs."""
    marks = [*folder.rglob("results.json"), *folder.rglob(".hydra")]
    found = {mark.parent for mark in marks if TUNED not in mark.relative_to(folder).parts}
    return sorted(found - {folder}, key=lambda path: _natural(str(path)))


def read_sweep(runs: Sequence[Path]) -> Sweep:
    """Reads `results.json` of each run folder; a run without one counts as unfinished.

    Runs are named by their folders, from the innermost folder that holds them all.

    The metrics shown are the monitors of the runs, or all test metrics where no run names monitors.

    Raises:
        CheckpointError: a results file is damaged.
    """
    common = os.path.commonpath([path.parent for path in runs]) if runs else ""
    read = [_read_run(path, path.relative_to(common).as_posix()) for path in runs]
    keys = list(dict.fromkeys(key for run in read for key in run.overrides))
    # Finished or not, what all runs have in common says nothing about their differences.
    differing = [key for key in keys if len({run.overrides.get(key) for run in read}) > 1]
    names = list(dict.fromkeys(name for run in read for name in run.monitors))
    if not names:
        found = {name for run in read for name in run.metrics or {}}
        names = sorted(name for name in found if name.startswith("test/"))
    return Sweep(read, differing, names)


def sweep_table(runs: Sequence[Path]) -> RenderableType:
    """The runs as a table, below it the spread over seeds where several were run."""
    sweep = read_sweep(runs)
    parts: list[RenderableType] = [_table("Runs", sweep.header(), sweep.rows(), left=1 + len(sweep.keys))]
    header, rows = sweep.over_seeds()
    if rows:
        parts.append(_table("Mean ± deviation over seeds", header, rows, left=len(header) - 1 - len(sweep.metrics)))
    if sweep.unfinished:
        parts.append(note(f"Not finished: {', '.join(sweep.unfinished)}"))
    return Group(*parts)


def write_sweep(folder: Path, runs: Sequence[Path]) -> None:
    """Writes `summary.md` and `summary.csv` (full precision, every scalar metric) into `folder`."""
    sweep = read_sweep(runs)
    text = markdown(sweep.header(), sweep.rows())
    header, rows = sweep.over_seeds()
    if rows:
        text += "\nMean ± sample deviation over seeds:\n\n" + markdown(header, rows)
    if sweep.unfinished:
        text += f"\nNot finished: {', '.join(sweep.unfinished)}\n"
    write_atomically(folder / "summary.md", text)
    write_atomically(folder / "summary.csv", _csv(sweep))


def _read_run(path: Path, name: str) -> Run:
    if not (path / "results.json").is_file():
        file = path / ".hydra" / "overrides.yaml"
        overrides = [str(override) for override in OmegaConf.load(file)] if file.is_file() else []
        return Run(name, split_overrides(overrides), [], None)
    results = read_results(path / "results.json")
    return Run(
        name,
        split_overrides(results.overrides),
        results.monitors,
        results.metrics | results.training,
        results.images_per_second,
        results.wall_seconds,
    )


def _table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> Table:
    """The first `left` columns are names, the others figures. Long metric names break at their slashes."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for k, name in enumerate(header):
        label = name.replace("/", "/\n") if name.count("/") == 2 else name
        table.add_column(label, justify="left" if k < left else "right", overflow="fold", no_wrap=k >= left)
    for row in rows:
        table.add_row(*row)
    return table


def _csv(sweep: Sweep) -> str:
    every = list(dict.fromkeys([*sweep.metrics, *sorted({n for run in sweep.runs for n in run.metrics or {}})]))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["run", *sweep.keys, *every, "images_per_second", "wall_seconds"])
    for run in sweep.runs:
        figures = [*(_value(run, name) for name in every), run.images_per_second, run.wall_seconds]
        writer.writerow(
            [
                run.name,
                *(run.overrides.get(key, "") for key in sweep.keys),
                *(repr(value) if math.isfinite(value) else "" for value in figures),
            ]
        )
    return text.getvalue()


def _value(run: Run, name: str) -> float:
    return (run.metrics or {}).get(name, math.nan)


def _natural(text: str) -> list[tuple[int, str]]:
    return [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in re.split(r"(\d+)", text)]
