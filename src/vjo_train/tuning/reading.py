"""A study as its files tell it, finished or not. Imports neither torch nor Optuna."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from vjo_train.errors import CheckpointError, ConfigError
from vjo_train.runs import run_folder
from vjo_train.runs.directions import gains
from vjo_train.tuning.plan import COMMAND
from vjo_train.tuning.space import Range, Space

TRIALS = "trials.csv"
FIRST, LAST = ("trial", "state", "best", "folder", "seconds"), "fault"
"""The columns of `trials.csv` around those of the metrics and the parameters."""


@dataclass(frozen=True)
class TrialRow:
    """A row of `trials.csv`.

    Attributes:
        number: of the trial.
        state: complete, pruned, fail, running or waiting.
        best: whether it is the best, or on the Pareto front.
        folder: its run's, below the study's.
        seconds: NaN while it runs.
        values: of the metrics; none where it is not complete.
        params: key -> its value, as the override grammar writes it.
        fault: why it failed.
    """

    number: int
    state: str
    best: bool
    folder: str
    seconds: float
    values: tuple[float, ...]
    params: dict[str, str]
    fault: str


@dataclass(frozen=True)
class StudyFolder:
    """A study that has been read.

    Attributes:
        path: its folder.
        space: what is searched.
        command: the overrides that all trials have in common; None where its version did not keep them.
        metrics: the names of what is maximised; none before the first trial has ended.
        trials: in their order.
        description: `study.yaml` as text.
    """

    path: Path
    space: Space
    command: list[str] | None
    metrics: tuple[str, ...]
    trials: list[TrialRow]
    description: str

    @property
    def complete(self) -> list[TrialRow]:
        """The finished trials."""
        return [trial for trial in self.trials if trial.state == "complete"]

    @property
    def front(self) -> list[TrialRow]:
        """The best trial, or those on the Pareto front, in the order of `study.md`."""
        found = (trial for trial in self.complete if trial.best)
        return sorted(found, key=lambda t: gains(t.values, self.metrics), reverse=True)


def read_study(folder: Path) -> StudyFolder:
    """Reads `study.yaml` and, where a trial has ended, `trials.csv`.

    Raises:
        ConfigError: the folder is no study's; the message names those nearby.
        CheckpointError: a damaged file.
    """
    file = folder / run_folder.STUDY
    if not file.is_file():
        what = (
            f"holds no {run_folder.STUDY}"
            if folder.is_dir()
            else "does not exist"
            if not folder.exists()
            else "is a file"
        )
        near = sorted({mark.parent for place in (folder, Path("tune")) for mark in place.glob(f"*/{run_folder.STUDY}")})
        shown = f" Studies nearby: {', '.join(map(str, near[:3]))}." if near else ""
        raise ConfigError(
            f"study: found '{folder}', which {what}; it must be the folder of a study of vjo-tune.{shown}"
        )
    try:
        content: Any = OmegaConf.to_container(OmegaConf.load(file), resolve=False)
        space = {
            key: Range(**node) if isinstance(node, dict) else tuple(node) for key, node in content["space"].items()
        }
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        why = " ".join(str(error).split())
        raise CheckpointError(f"{file} is damaged or describes no study of vjo-tune ({why}).") from error
    metrics, trials = _read_trials(folder / TRIALS, space) if (folder / TRIALS).is_file() else ((), [])
    return StudyFolder(folder, space, content.get(COMMAND), metrics, trials, file.read_text(encoding="utf-8"))


def _read_trials(path: Path, space: Space) -> tuple[tuple[str, ...], list[TrialRow]]:
    with path.open(encoding="utf-8", newline="") as file:
        table = csv.DictReader(file)
        names = list(table.fieldnames or ())
        if tuple(names[: len(FIRST)]) != FIRST or names[-1] != LAST:
            raise CheckpointError(f"{path}, line 1: found {','.join(names)}; must be {','.join(FIRST)},...,{LAST}.")
        own = names[len(FIRST) : -1]
        metrics = tuple(name for name in own if name not in space)
        try:
            return metrics, [_row(row, metrics, {key: space[key] for key in own if key in space}) for row in table]
        except (TypeError, ValueError) as error:
            raise CheckpointError(f"{path}, line {table.line_num}: {error}.") from error


def _row(row: dict[str, Any], metrics: Sequence[str], space: Space) -> TrialRow:
    complete = row["state"] == "complete"
    params = {key: row[key] for key in space if row[key] != ""}
    for key, value in params.items():
        node = space[key]
        if not node.low <= float(value) <= node.high if isinstance(node, Range) else value not in node:
            raise ValueError(f"{key}={value} is not in the space that is searched")
    return TrialRow(
        number=int(row["trial"]),
        state=row["state"],
        best=row["best"] == "1",
        folder=row["folder"],
        seconds=float(row["seconds"] or math.nan),
        values=tuple(float(row[name]) for name in metrics) if complete else (),
        params=params,
        fault=row[LAST] or "",
    )
