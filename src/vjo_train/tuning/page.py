"""`report.html` of a study."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

from vjo_train.files import write_atomically
from vjo_train.pages.blocks import Block, Code, Figure, Figures, Key, Note, Section, Table, Tile
from vjo_train.pages.folder import RunFolder
from vjo_train.pages.page import render
from vjo_train.pages.run import FILE
from vjo_train.pages.scatter import LINEAR, Axis, Dot, scatter_chart
from vjo_train.pages.svg import shortened
from vjo_train.report.text import duration, figure
from vjo_train.tuning.reading import StudyFolder, TrialRow, read_study
from vjo_train.tuning.space import Range, command

BEST, OTHER = 0, 6
"""Colours: of the best trial or the front, and of the others, which are grey."""
STATES = {"complete": "finished", "fail": "failed"}
"""What states are called that Optuna names otherwise."""
LETTERS = 110
"""So much of a reason stands in the table; longer ones are below it."""
KILLED = "its process was killed; tried again from its last checkpoint"


def write_study_page(study: Path, output: Path | None = None) -> Path:
    """Writes the page of a study, finished or not; returns its path.

    Args:
        study: the study's folder.
        output: the folder for the page; None: the study's own.

    Raises:
        ConfigError: the folder is no study's.
        CheckpointError: a damaged file in it.
        OSError: a file that cannot be read or written.
    """
    path = (study if output is None else output) / FILE
    write_atomically(path, study_page(read_study(study)))
    return path


def study_page(study: StudyFolder) -> str:
    """The page as text."""
    made: tuple[Callable[[StudyFolder], Section | None], ...] = (best, parameters, trials, unfinished, config)
    name = study.path.resolve().name
    counts = {state: sum(trial.state == state for trial in study.trials) for state in ("pruned", "fail", "running")}
    tiles = [Tile("trials finished", str(len(study.complete)))]
    tiles += [Tile(STATES.get(state, state), str(count)) for state, count in counts.items() if count]
    if len(study.metrics) == 1:
        tiles = [*(Tile(study.metrics[0], figure(t.values[0], 4), f"trial {t.number}") for t in study.front), *tiles]
    notes = [] if study.complete else [Note("No trial has finished, so there is nothing to choose from.", "error")]
    return render(
        f"Study {name}",
        subtitle=f"Maximised on val: {', '.join(study.metrics)}" if study.metrics else "",
        tiles=tiles,
        notes=notes,
        sections=[section for make in made if (section := make(study)) is not None],
    )


def best(study: StudyFolder) -> Section | None:
    """The best trial, or the Pareto front as charts and as a table, and the command that trains it in full."""
    if not study.front:
        return None
    several = len(study.metrics) > 1
    blocks: list[Block] = []
    if several:
        pairs = itertools.combinations(range(len(study.metrics)), 2)
        blocks.append(Figures([_front(study, x, y) for x, y in pairs], _legend(study)))
    blocks.append(_table(study, "", study.front))
    if study.command is not None:
        first = study.front[0]
        blocks.append(Code(f"Trains and tests trial {first.number}", command(study.command, first.params), open=True))
    if several:
        intro = (
            "The trials that no other one beats in all metrics; more is better in each. Numbers are those of trials."
        )
        return Section("Pareto front", blocks, intro)
    return Section("Best trial", blocks)


def parameters(study: StudyFolder) -> Section | None:
    """Each metric against each key that was searched."""
    charts = [_parameter(study, k, key) for k in range(len(study.metrics)) for key in study.space]
    shown = [chart for chart in charts if chart.svg]
    if not shown:
        return None
    intro = (
        "Every finished trial as a dot. The sampler looks more often where it found good ones, so dots are no sample."
    )
    return Section("Parameters", [Figures(shown, _legend(study))], intro)


def trials(study: StudyFolder) -> Section | None:
    """All trials in their order."""
    if not study.trials:
        return None
    mark = "on the front" if len(study.metrics) > 1 else "the best"
    return Section("Trials", [_table(study, "", study.trials)], f"In the order of their start; * {mark}.")


def unfinished(study: StudyFolder) -> Section | None:
    """Failed and pruned trials, with the reasons."""
    ended = [trial for trial in study.trials if trial.state in ("fail", "pruned")]
    if not ended:
        return None
    why = {trial.number: _reason(study, trial) for trial in ended}
    rows = [
        [str(t.number), STATES.get(t.state, t.state), shortened(why[t.number].partition("\n")[0], LETTERS)]
        for t in ended
    ]
    whole = [f"{k}: {text}" for k, text in why.items() if "\n" in text or len(text) > LETTERS]
    blocks: list[Block] = [Table("", ["trial", "state", "why"], rows, left=3)]
    return Section("Failed and pruned", [*blocks, *([Code("Reasons in full", "\n\n".join(whole))] if whole else [])])


def config(study: StudyFolder) -> Section | None:
    """What was searched, and what all trials have in common."""
    rows = [[key, _range(node) if isinstance(node, Range) else ", ".join(node)] for key, node in study.space.items()]
    blocks: list[Block] = [Table("Searched", ["key", "values"], rows, left=2)]
    return Section("Config", [*blocks, Code("The whole study.yaml", study.description)])


def _front(study: StudyFolder, x: int, y: int) -> Figure:
    across, up = study.metrics[x], study.metrics[y]
    dots = [_dot(study, trial, trial.values[x], y) for trial in _best_last(study)]
    return Figure(f"{up} against {across}", scatter_chart(dots, f"{up} against {across}", x_label=across, y_label=up))


def _parameter(study: StudyFolder, metric: int, key: str) -> Figure:
    node = study.space[key]
    there = [trial for trial in _best_last(study) if key in trial.params]
    if isinstance(node, Range):
        axis = Axis(log=True) if node.log else LINEAR
        places = [float(trial.params[key]) for trial in there]
    else:
        axis = Axis(names=node)
        places = [float(node.index(trial.params[key])) for trial in there]
    dots = [_dot(study, trial, place, metric) for trial, place in zip(there, places, strict=True)]
    title = f"{study.metrics[metric]} by {key}"
    return Figure(title, scatter_chart(dots, title, x_label=key, axis=axis))


def _dot(study: StudyFolder, trial: TrialRow, x: float, y: int) -> Dot:
    values = ", ".join(f"{name} {figure(value, 4)}" for name, value in zip(study.metrics, trial.values, strict=True))
    own = " ".join(f"{key}={_cell(study, trial, key)}" for key in trial.params)
    hint = f"trial {trial.number}: {values}; {own}"
    return Dot(x, trial.values[y], hint, BEST if trial.best else OTHER, str(trial.number) if trial.best else "")


def _best_last(study: StudyFolder) -> list[TrialRow]:
    """The finished trials, those that others must not hide last."""
    return sorted(study.complete, key=lambda trial: trial.best)


def _legend(study: StudyFolder) -> list[Key]:
    return [Key("on the front" if len(study.metrics) > 1 else "the best", BEST), Key("other trials", OTHER)]


def _table(study: StudyFolder, title: str, shown: Sequence[TrialRow]) -> Table:
    rows = [
        [
            f"{trial.number} *" if trial.best else str(trial.number),
            STATES.get(trial.state, trial.state),
            *(figure(value, 4) for value in trial.values or [float("nan")] * len(study.metrics)),
            *(_cell(study, trial, key) for key in study.space),
            duration(trial.seconds),
        ]
        for trial in shown
    ]
    return Table(title, ["trial", "state", *study.metrics, *study.space, "time"], rows, left=2)


def _cell(study: StudyFolder, trial: TrialRow, key: str) -> str:
    """A parameter, numbers to four digits; empty where the trial has none."""
    value = trial.params.get(key, "")
    return f"{float(value):.4g}" if value and isinstance(study.space[key], Range) else value


def _reason(study: StudyFolder, trial: TrialRow) -> str:
    if trial.state == "fail":
        return trial.fault or KILLED
    epochs = len(RunFolder(study.path / trial.folder).history)
    when = f" after {epochs} epoch{'s' if epochs > 1 else ''}" if epochs else ""
    return f"behind the median of the other trials{when}"


def _range(node: Range) -> str:
    extra = [*(["on a logarithmic scale"] if node.log else []), *([f"in steps of {node.step:g}"] if node.step else [])]
    return ", ".join([f"{node.low:g} to {node.high:g}", *extra])
