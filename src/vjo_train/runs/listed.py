"""What a list of runs says of each: read fast, from small files, whatever became of the run. Imports no torch."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import yaml

from vjo_train.errors import CheckpointError
from vjo_train.files import LOCK, locked
from vjo_train.runs import run_folder
from vjo_train.runs.epochs import FILE, read_history
from vjo_train.runs.renamed import plain_with_current_names

State = Literal["finished", "running", "interrupted", "failed"]
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STAMP = re.compile(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d")
_LINE = re.compile(r"^\d{4}-\d\d-\d\d [\d:,]+ (DEBUG|INFO|WARNING|ERROR|CRITICAL) [\w.]+: (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class ListedRun:
    """A run's folder.

    Attributes:
        folder: where it lies.
        date: when it was started.
        state: `finished` with results; `running` where a process holds its folder; `failed` with an error in its log;
            else `interrupted`.
        reason: the error of a failed run.
        tasks: the heads that it trained, self-supervised ones aside.
        overrides: what the command line changed, key by key.
        config: as it was composed.
        metrics: `<stage>/<task>/<metric>` and other figures of a finished run by name.
        monitors: the names of those that stand for the tasks.
        reported: names -> whether higher is better, as far as the heads say.
    """

    folder: Path
    date: datetime
    state: State
    tasks: tuple[str, ...]
    overrides: Mapping[str, str]
    config: Mapping[str, Any] = field(repr=False)
    reason: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict, repr=False)
    monitors: tuple[str, ...] = ()
    reported: Mapping[str, bool] = field(default_factory=dict, repr=False)

    def history(self, name: str) -> list[float]:
        """The values of a column of `metrics.csv`, such as `val/loss`, in the order of the epochs.

        Raises:
            CheckpointError: the file is damaged.
        """
        file = self.folder / FILE
        rows = read_history(file) if file.is_file() else []
        return [float(row[name]) for row in rows if name in row]

    def choice(self, group: str) -> str | None:
        """What was chosen of a group of the config, such as `weighting`, as far as Hydra's own record is there."""
        hydra = _yaml(self.folder / ".hydra" / "hydra.yaml") or {}
        found = hydra.get("hydra", {}).get("runtime", {}).get("choices", {}).get(group)
        return None if found is None else str(found)

    def columns(self) -> list[str]:
        """The names of the columns of `metrics.csv`."""
        file = self.folder / FILE
        if not file.is_file():
            return []
        with file.open(encoding="utf-8") as lines:
            return lines.readline().strip().split(",")


def read_listed(folder: Path) -> ListedRun:
    """Reads what there is of a run.

    Raises:
        CheckpointError: one of its files is damaged; the message is one line.
    """
    results = folder / run_folder.RESULTS
    try:
        found = json.loads(results.read_text(encoding="utf-8")) if results.is_file() else {}
        config = found["config"] if found else _yaml(folder / run_folder.CONFIG)
        words = found["overrides"] if found else _yaml(folder / ".hydra" / "overrides.yaml") or []
        config = plain_with_current_names(config)
        state, reason = _finished() if found else _state(folder)
        return ListedRun(
            folder=folder,
            date=_date(folder),
            state=state,
            reason=reason,
            tasks=run_folder.goals(config),
            overrides=run_folder.split_overrides([str(word) for word in words]),
            config=config,
            metrics=_figures(found),
            monitors=tuple(found.get("monitors", ())),
            reported=found.get("reported", {}),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        what = " ".join(str(error).split())[:80] or "empty"
        raise CheckpointError(f"{folder} ({type(error).__name__}: {what})") from error


def _yaml(file: Path) -> Any:
    return yaml.load(file.read_text(encoding="utf-8"), LOADER) if file.is_file() else None


def _figures(found: Mapping[str, Any]) -> dict[str, float]:
    speeds = ("images_per_second", "inference_images_per_second", "inference_flops")
    plain = ("epochs", "steps", "wall_seconds", "parameters", *speeds)
    values = {**found.get("metrics", {}), **found.get("training", {}), **{key: found.get(key) for key in plain}}
    return {name: math.nan if value is None else float(value) for name, value in values.items()} if found else {}


def _date(folder: Path) -> datetime:
    """By the name of the folder or of one above it, which a copy keeps; else by the file of its config."""
    for part in reversed(folder.parts):
        if match := _STAMP.search(part):
            return datetime.strptime(match[0], "%Y-%m-%d_%H-%M-%S")
    return datetime.fromtimestamp((folder / run_folder.CONFIG).stat().st_mtime).replace(microsecond=0)


def _finished() -> tuple[State, str]:
    return "finished", ""


def _state(folder: Path) -> tuple[State, str]:
    """Of a run without results, by the last line of its log and by whether a process holds the folder."""
    level, text = _last_word(folder)
    if _held(folder):
        return "running", ""
    return ("failed", text) if level in ("ERROR", "CRITICAL") else ("interrupted", "")


def _last_word(folder: Path) -> tuple[str, str]:
    logs = sorted(folder.glob("*.log"), key=lambda file: file.stat().st_mtime)
    if not logs:
        return "", ""
    with logs[-1].open("rb") as file:
        file.seek(max(0, logs[-1].stat().st_size - 20_000))
        tail = file.read().decode(errors="replace")
    lines = list(_LINE.finditer(tail))
    if not lines:
        return "", ""
    level, text = lines[-1].groups()
    if text.startswith("Traceback"):  # what happened stands in its last line
        said = tail[lines[-1].start() :].strip().splitlines()
        text = next((line for line in reversed(said) if not line.startswith("full_key")), "")
    return level, text.strip()


def _held(folder: Path) -> bool:
    """Whether a process is at work in the folder, or in the one of its sweep."""
    for place in (folder, *folder.absolute().parents[:2]):
        if (place / LOCK).is_file():
            try:
                with locked(place / LOCK, wait=False) as free:
                    if not free:
                        return True
            except OSError:
                continue  # not ours to lock: nobody of ours is at work there
    return False
