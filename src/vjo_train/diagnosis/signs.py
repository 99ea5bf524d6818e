"""What the log of a training says of each task: its share of the gradient, clipped steps, conflict, fit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import TypeAlias

History: TypeAlias = Sequence[Mapping[str, str]]
"""The rows of a run's `metrics.csv`, one per epoch; a cell that is missing or empty says nothing."""


@dataclass(frozen=True)
class Signs:
    """One task in the log of a training, or of several seeds of it.

    Attributes:
        shares: task -> its share (0..1) of the gradients' lengths in the shared part, weights counted in, means over
            training; empty where gradients were not looked at.
        clipped: the share (0..1) of steps in which the gradient of the shared part or of the task's head was clipped,
            whichever is more; NaN where nothing is clipped.
        cosines: other task -> the mean cosine of the two gradients.
        train_loss: of the last epoch; NaN where there is none.
        val_loss: of the last validation; NaN where there is none.
    """

    shares: dict[str, float] = field(default_factory=dict)
    clipped: float = math.nan
    cosines: dict[str, float] = field(default_factory=dict)
    train_loss: float = math.nan
    val_loss: float = math.nan


def read_signs(histories: Sequence[History], tasks: Sequence[str]) -> dict[str, Signs]:
    """The signs of each of `tasks`, as means over the runs.

    Args:
        histories: of one run, or of several seeds of it.
        tasks: the heads that they trained.
    """
    shares = gradient_shares(histories, tasks)
    return {
        task: Signs(
            shares=shares,
            clipped=_greatest(_mean(histories, f"train/clipped/{part}") for part in ("shared", task)),
            cosines={other: value for other in tasks if math.isfinite(value := _cosine(histories, task, other))},
            train_loss=_last(histories, f"train/{task}/loss"),
            val_loss=_last(histories, f"val/{task}/loss"),
        )
        for task in tasks
    }


def gradient_shares(histories: Sequence[History], tasks: Sequence[str]) -> dict[str, float]:
    """Task -> the mean over all epochs of |w_k g_k| / sum_j |w_j g_j|; empty where an epoch's norms are not known.

    A weighting that scales gradients element by element logs the lengths that come of it, `update_norm`; of all others
    it is the weight times `gradient_norm`. The parts of a head whose loss is split count together.
    """
    found: dict[str, list[float]] = {task: [] for task in tasks}
    for row in (row for history in histories for row in history):
        lengths = {task: _length(row, task) for task in tasks}
        total = sum(lengths.values())
        if math.isfinite(total) and total > 0:
            for task, length in lengths.items():
                found[task].append(length / total)
    return {task: fmean(values) for task, values in found.items() if values}


def ratio(loss: float, alone: float) -> float:
    """`loss` as a multiple of that of the task alone; NaN where one is not known, or the latter is not above 0."""
    return loss / alone if alone > 0 else math.nan


def _length(row: Mapping[str, str], task: str) -> float:
    """Of the weighted gradient of a task in an epoch; NaN where it is not known."""
    for kind in ("update_norm", "gradient_norm"):
        start = f"train/weighting/{kind}/"
        parts = [name.removeprefix(start) for name in row if name == start + task or name.startswith(f"{start}{task}/")]
        if parts:
            weights = [_cell(row, f"train/{part}/weight") if kind == "gradient_norm" else 1.0 for part in parts]
            return math.fsum(abs(w) * _cell(row, start + part) for w, part in zip(weights, parts, strict=True))
    return math.nan


def _cosine(histories: Sequence[History], one: str, other: str) -> float:
    """The mean cosine of two tasks; of tasks with several losses, over all pairs of them."""
    start = "train/weighting/cosine/"
    names = {name for history in histories for row in history for name in row if name.startswith(start)}
    pairs = [name for name in sorted(names) if _is_pair(name.removeprefix(start), one, other)]
    values = [value for name in pairs if math.isfinite(value := _mean(histories, name))]
    return fmean(values) if values else math.nan


def _is_pair(name: str, one: str, other: str) -> bool:
    """Whether `a/b`, each a task or `task/part`, names these two."""
    words = name.split("/")
    return one != other and one in words and other in words


def _mean(histories: Sequence[History], column: str) -> float:
    values = [v for history in histories for row in history if math.isfinite(v := _cell(row, column))]
    return fmean(values) if values else math.nan


def _last(histories: Sequence[History], column: str) -> float:
    """The mean over the runs of the last known value."""
    known = [[v for row in history if math.isfinite(v := _cell(row, column))] for history in histories]
    ends = [values[-1] for values in known if values]
    return fmean(ends) if ends else math.nan


def _greatest(values: Iterable[float]) -> float:
    return max((value for value in values if math.isfinite(value)), default=math.nan)


def _cell(row: Mapping[str, str], column: str) -> float:
    """NaN where the cell is missing, empty or no number."""
    try:
        return float(row.get(column) or "nan")
    except ValueError:
        return math.nan
