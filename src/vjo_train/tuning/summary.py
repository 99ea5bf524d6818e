"""What a study has come to: `trials.csv`, `study.md`, and the Pareto front as `front.svg`."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from vjo_train.files import write_atomically
from vjo_train.report.text import figure, markdown
from vjo_train.runs.directions import gains
from vjo_train.tuning import space as spaces
from vjo_train.tuning.front import dominated, scatter
from vjo_train.tuning.reading import FIRST, LAST, TRIALS
from vjo_train.tuning.study import FAULT, FOLDER

SHOWN = 10
"""Trials in the table of a study with one metric."""


def best(trials: Sequence[FrozenTrial], metrics: Sequence[str]) -> list[FrozenTrial]:
    """The finished trials that no other beats in every metric, best first metric first; of one metric, the best one."""
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    values = [gains(trial.values, metrics) for trial in done]
    front = [trial for trial, lost in zip(done, dominated(values), strict=True) if not lost]
    front.sort(key=lambda trial: gains(trial.values, metrics), reverse=True)
    return front if front and len(front[0].values) > 1 else front[:1]


def write_summary(folder: Path, trials: Sequence[FrozenTrial], metrics: Sequence[str], command: Sequence[str]) -> None:
    """Writes the files of a study.

    Args:
        folder: of the study.
        trials: all of it.
        metrics: names of what is maximised.
        command: overrides that all trials have in common.
    """
    write_atomically(folder / TRIALS, to_csv(trials, metrics))
    write_atomically(folder / "study.md", to_markdown(trials, metrics, command))
    if len(metrics) > 1:
        done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
        write_atomically(folder / "front.svg", scatter([(t.number, t.values) for t in done], metrics))


def to_csv(trials: Sequence[FrozenTrial], metrics: Sequence[str]) -> str:
    """A row per trial: number, state, whether it is (one of) the best, folder, seconds, metrics, parameters, fault."""
    chosen = {trial.number for trial in best(trials, metrics)}
    keys = list(dict.fromkeys(key for trial in trials for key in trial.params))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*FIRST, *metrics, *keys, LAST])
    for trial in trials:
        values = trial.values if trial.state == TrialState.COMPLETE else [""] * len(metrics)
        seconds = "" if trial.duration is None else round(trial.duration.total_seconds(), 1)
        writer.writerow(
            [
                *(trial.number, trial.state.name.lower(), int(trial.number in chosen)),
                *(trial.user_attrs.get(FOLDER, ""), seconds, *values),
                *(trial.params.get(key, "") for key in keys),
                trial.user_attrs.get(FAULT, ""),
            ]
        )
    return text.getvalue()


def to_markdown(trials: Sequence[FrozenTrial], metrics: Sequence[str], command: Sequence[str]) -> str:
    """The best trials, and how to train them in full."""
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    counts = {state: sum(t.state == state for t in trials) for state in TrialState}
    text = f"{len(done)} trials finished, {counts[TrialState.PRUNED]} pruned, {counts[TrialState.FAIL]} failed.\n"
    if not done:
        return text
    keys = list(dict.fromkeys(key for trial in done for key in trial.params))
    front = best(trials, metrics)
    several = len(metrics) > 1
    shown = front if several else sorted(done, key=lambda trial: gains(trial.values, metrics), reverse=True)[:SHOWN]
    rows = [
        [str(t.number), *(figure(v, 4) for v in t.values), *(_cell(t.params.get(key, "")) for key in keys)]
        for t in shown
    ]
    title = "The Pareto front: no trial is better in all metrics" if several else "The best trials"
    text += f"\n{title}:\n\n" + markdown(["trial", *metrics, *keys], rows)
    text += "\nTo train and test one of them, such as trial " + f"{front[0].number}:\n\n"
    return text + f"    {spaces.command(command, front[0].params)}\n"


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
