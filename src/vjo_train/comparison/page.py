"""`report.html` of a comparison."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from vjo_train.comparison import answers, diagnosis, progress, tables
from vjo_train.comparison.colours import style
from vjo_train.comparison.summary import Comparison
from vjo_train.pages.bars import Bar, interval_chart, signed
from vjo_train.pages.blocks import Figure, Figures, Note, Section, Table, Tile
from vjo_train.pages.page import render
from vjo_train.pages.run import FILE

TITLE = "Does joint training win?"
AT_THE_TOP = 4
"""So many warnings stand above all else; more have a section."""


def sections(comparison: Comparison, output: Path) -> list[Section]:
    """All sections that there is something for."""
    made: tuple[Callable[[Comparison], Section | None], ...] = (
        answer,
        warnings,
        diagnosis.section,
        figures,
        progress.learning_curves,
        progress.task_weights,
        progress.conflict,
        progress.affinity,
        answers.classes,
        answers.precision_recall_curves,
        answers.pictures,
    )
    found = [*(make(comparison) for make in made), runs(comparison, output), remarks(comparison)]
    return [section for section in found if section is not None]


def as_html(comparison: Comparison, output: Path) -> str:
    """The page; `output` is the folder that it will lie in, from which its links lead."""
    found = tables.warnings(comparison)
    notes = [Note(text, "warning") for text in found]
    if len(found) > AT_THE_TOP:
        notes = [Note(f"{len(found)} things to know before believing the tables; see Warnings.", "warning")]
    seeds = comparison.seeds
    said = [", ".join(comparison.tasks), f"{len(seeds)} seed{'s' if len(seeds) > 1 else ''}", output.resolve().name]
    return render(
        TITLE, subtitle=" · ".join(said), tiles=_tiles(comparison), notes=notes, sections=sections(comparison, output)
    )


def _tiles(comparison: Comparison) -> list[Tile]:
    tiles = []
    for label in comparison.methods:
        delta = comparison.delta_m(label)
        tiles.append(Tile(label, f"{signed(delta.mean, 2)} %", tables.verdict(comparison, label)))
    return tiles


def answer(comparison: Comparison) -> Section | None:
    """delta_m of each method with its interval, as a chart and as tables."""
    if not comparison.methods:
        return None
    charts = [_chart(comparison, "delta_m, the mean over the tasks", None)]
    charts += [_chart(comparison, f"gain in {name}", name) for name in comparison.counting]
    intro = (
        f"Gain over single-task runs of the same budget, in percent, with {comparison.level:.0%} intervals; to the "
        "right of 0 joint training is better. Where an interval holds 0, the runs do not tell."
    )
    return Section(
        "The answer", [Figures(charts), *map(_table, (tables.answer(comparison), tables.gains(comparison)))], intro
    )


def _chart(comparison: Comparison, title: str, name: str | None) -> Figure:
    bars = []
    for label in comparison.methods:
        found = comparison.delta_m(label) if name is None else comparison.gain(label, name)
        bars.append(Bar(label, found.mean, signed(found.mean), found.low, found.high, style(comparison, label)))
    return Figure(title, interval_chart(bars, title, unit="gain in %"))


def warnings(comparison: Comparison) -> Section | None:
    """All warnings, where they are too many for the top."""
    found = tables.warnings(comparison)
    return Section("Warnings", [Note(text, "warning") for text in found]) if len(found) > AT_THE_TOP else None


def figures(comparison: Comparison) -> Section | None:
    """Every figure of every method, and the costs."""
    sheets = [
        sheet
        for sheet in (tables.figures(comparison), tables.costs(comparison), tables.budgets(comparison))
        if sheet.rows
    ]
    return Section("Figures and cost", [_table(sheet) for sheet in sheets])


def runs(comparison: Comparison, output: Path) -> Section | None:
    """The runs, with links to their own pages."""
    rows, links = [], []
    groups = {f"{task} alone": group for task, group in comparison.singles.items()} | dict(comparison.methods)
    for label, group in groups.items():
        for seed, run in sorted(group.items()):
            page = run.folder / FILE
            rows.append([label, str(seed), run.results.git or "-" if run.results else "-", str(run.folder)])
            links.append(_relative(page, output) if page.is_file() else "")
    rows += [["not finished", "-", "-", str(folder)] for folder in comparison.unfinished]
    links += ["" for _ in comparison.unfinished]
    return Section("Runs", [Table("", ["run", "seed", "revision", "folder"], rows, left=1, links=links)])


def remarks(comparison: Comparison) -> Section | None:
    """How the figures come about."""
    return Section("How to read this", [Note(text) for text in tables.remarks(comparison)])


def _relative(path: Path, folder: Path) -> str:
    """A link that holds as long as the two stay where they are to each other."""
    return quote(Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix())


def _table(sheet: tables.Sheet) -> Table:
    return Table(sheet.title, sheet.header, sheet.rows, sheet.left)
