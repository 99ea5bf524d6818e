"""What lies in a run's folder, finished or not, as the sections of its page read it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from vjo_train.errors import CheckpointError
from vjo_train.pages.scale import Point
from vjo_train.report.affinity import FILE as AFFINITY
from vjo_train.report.affinity import Measured
from vjo_train.report.affinity import read as read_affinity
from vjo_train.report.examples import Example, read_examples
from vjo_train.runs import epochs, run_folder
from vjo_train.runs.records import FILE as RECORDS
from vjo_train.runs.records import TaskRecords, read_records
from vjo_train.runs.results import Results, read_results

LOG_LINE = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),\d+ ([A-Z]+) ([\w.]+): (.*)$")
"""A record's first line in the log that a command writes."""


@dataclass(frozen=True)
class Message:
    """A warning or error of a run's log; `times` it came."""

    time: str
    level: str
    source: str
    text: str
    times: int = 1


@dataclass(frozen=True)
class RunFolder:
    """One run's folder. Each property is empty where its file is not there.

    Raises:
        CheckpointError: in each property, where its file is damaged.
    """

    path: Path

    @property
    def name(self) -> str:
        """The name in the config, else the folder's."""
        return str(self.config.get("name") or self.path.resolve().name)

    @cached_property
    def results(self) -> Results | None:
        return read_results(self.path / run_folder.RESULTS) if (self.path / run_folder.RESULTS).is_file() else None

    @cached_property
    def config(self) -> dict[str, Any]:
        """As it was resolved in a finished run, else as it was composed."""
        if self.results is not None:
            return self.results.config
        if not (self.path / run_folder.CONFIG).is_file():
            return {}
        plain = OmegaConf.to_container(run_folder.load_config(self.path), resolve=False)
        assert isinstance(plain, dict)
        return {str(key): value for key, value in plain.items()}

    @property
    def config_text(self) -> str:
        """The config as YAML."""
        return yaml.safe_dump(self.config, sort_keys=False, allow_unicode=True, width=110) if self.config else ""

    @cached_property
    def overrides(self) -> list[str]:
        """What the command line changed."""
        file = self.path / ".hydra" / "overrides.yaml"
        if self.results is not None:
            return self.results.overrides
        return [str(word) for word in OmegaConf.load(file)] if file.is_file() else []

    @property
    def tasks(self) -> list[str]:
        """The tasks that it trained; self-supervised ones, which serve them, are left out."""
        return list(run_folder.goals(self.config)) if self.config.get("heads") else []

    @property
    def trained(self) -> list[str]:
        """All heads that it trained."""
        return list(run_folder.trained_tasks(self.config)) if self.config.get("heads") else []

    @cached_property
    def history(self) -> list[epochs.Row]:
        """The rows of `metrics.csv`."""
        file = self.path / epochs.FILE
        return epochs.read_history(file) if file.is_file() else []

    @property
    def columns(self) -> list[str]:
        """The columns of the history, in the file's order."""
        return epochs.columns(name for row in self.history for name in row)

    def curve(self, column: str) -> list[Point]:
        """(epoch from 1, value) in the history's rows; NaN where a cell is empty.

        Raises:
            CheckpointError: a cell holds no number.
        """
        try:
            return [(int(row["epoch"]) + 1.0, float(row.get(column, "nan"))) for row in self.history]
        except ValueError as error:
            raise CheckpointError(f"{self.path / epochs.FILE}, column {column}: {error}.") from error

    def has(self, column: str) -> bool:
        """Whether some row of the history has a finite value there."""
        return any(math.isfinite(value) for _, value in self.curve(column))

    @cached_property
    def affinity(self) -> list[Measured]:
        """The rows of `affinity.csv`."""
        return read_affinity(self.path / AFFINITY) if (self.path / AFFINITY).is_file() else []

    @cached_property
    def records(self) -> dict[str, TaskRecords]:
        return read_records(self.path / RECORDS)

    @cached_property
    def examples(self) -> list[Example]:
        return read_examples(self.path)

    @property
    def logs(self) -> list[Path]:
        """The log files of the commands that made the folder."""
        return [file for name in ("train.log", "eval.log") if (file := self.path / name).is_file()]

    @cached_property
    def messages(self) -> list[Message]:
        """The warnings and errors in the logs, each text once."""
        found = [m for file in self.logs for m in parse_log(file.read_text(encoding="utf-8", errors="replace"))]
        first: dict[tuple[str, str], Message] = {}
        for message in found:
            key = (message.level, message.text)
            times = first[key].times + 1 if key in first else 1
            origin = first.get(key, message)
            first[key] = Message(origin.time, origin.level, origin.source, origin.text, times)
        return list(first.values())

    def metric(self, column: str) -> Sequence[float]:
        """The finite values of a column of the history."""
        return [value for _, value in self.curve(column) if math.isfinite(value)]


def parse_log(text: str) -> list[Message]:
    """The records of level WARNING and above, with the lines that follow each."""
    found: list[Message] = []
    wanted = False
    for line in text.splitlines():
        if match := LOG_LINE.match(line):
            wanted = match[2] in ("WARNING", "ERROR", "CRITICAL")
            if wanted:
                found.append(Message(match[1], match[2], match[3], match[4]))
        elif wanted:
            last = found[-1]
            found[-1] = Message(last.time, last.level, last.source, f"{last.text}\n{line}")
    return [Message(m.time, m.level, m.source, m.text.rstrip()) for m in found]
