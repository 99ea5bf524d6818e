"""Comparisons at several shares of the labels: which share of them is worth how much."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from vjo_train.comparison.delta import Interval, student_interval
from vjo_train.comparison.reading import Run
from vjo_train.comparison.summary import SINGLE, Comparison
from vjo_train.errors import ConfigError
from vjo_train.runs.directions import higher_is_better


@dataclass(frozen=True)
class LabelCurve:
    """The comparison at each share of the labels, least first.

    Attributes:
        at: share of every task's labels -> the runs with it.
        level: how often intervals hold the truth.
    """

    at: dict[float, Comparison]
    level: float

    @property
    def widest(self) -> Comparison:
        """A comparison that has all tasks and methods: that of the least share, where all methods can run."""
        return next(iter(self.at.values()))

    @property
    def labels(self) -> list[str]:
        """The single-task runs, if there are any, and the methods."""
        found = dict.fromkeys(label for one in self.at.values() for label in one.methods)
        return [*([SINGLE] if self.widest.singles else []), *found]

    @property
    def figures(self) -> list[str]:
        """The figure that stands for each task, such as `detection/map_area`."""
        return [f"{task}/{metric}" for task, metric in self.widest.metrics.items()]

    def values(self, label: str, share: float, name: str) -> dict[int, float]:
        """Seed -> a test figure of a method, or of `SINGLE`, at one share; empty where it did not run."""
        here = self.at[share]
        group = here.singles.get(name.partition("/")[0], {}) if label == SINGLE else here.methods.get(label, {})
        return {seed: run.metric(name) for seed, run in sorted(group.items())}

    def difference(self, label: str, other: str, share: float, name: str) -> Interval:
        """The mean over seeds of what `label` is better than `other`, in points (hundredths), with its interval."""
        one, two = self.values(label, share, name), self.values(other, share, name)
        sign = 100 if self.higher(name) else -100
        return student_interval([sign * (one[seed] - two[seed]) for seed in one if seed in two], self.level)

    def higher(self, name: str) -> bool:
        """Whether a figure is better the higher it is."""
        return higher_is_better(name, self.widest.higher)

    def enough(self, label: str, name: str) -> float | None:
        """The least share at which a method's mean is that of the task alone with all labels; None: none of them."""
        if 1.0 not in self.at:
            return None
        goal = self.values(SINGLE, 1.0, name)
        for share in self.at:
            found = self.values(label, share, name)
            if found and goal:
                here, there = fmean(found.values()), fmean(goal.values())
                if here >= there if self.higher(name) else here <= there:
                    return share
        return None

    def images(self, share: float, task: str) -> float:
        """How many training images are labelled for a task at a share, by the runs' own count; NaN if unknown."""
        here = self.at[share]
        groups = [*here.singles.get(task, {}).values(), *(run for own in here.methods.values() for run in own.values())]
        counts = [run.results.counts.get("train", {}).get(task) for run in groups if run.results is not None]
        known = [count for count in counts if count is not None]
        return fmean(known) if known else math.nan


def share_of(run: Run) -> float | None:
    """The share of the labels that a run of a label curve had; None for other runs."""
    compared = run.config.get("compare") or {}
    if not compared.get("labels"):
        return None
    kept = (run.config.get("dataset") or {}).get("labels")
    return 1.0 if not kept else float(next(iter(kept.values())))


def by_share(runs: Sequence[Run]) -> dict[float, list[Run]]:
    """Share of the labels -> its runs, least first; empty where the runs are of no label curve.

    Raises:
        ConfigError: runs of a label curve beside others.
    """
    shares = {run.folder: share_of(run) for run in runs}
    if all(share is None for share in shares.values()):
        return {}
    if stranger := next((folder for folder, share in shares.items() if share is None), None):
        raise ConfigError(f"runs: '{stranger}' is no run of a label curve, the others are; compare them by themselves.")
    found = {share for share in shares.values() if share is not None}
    return {share: [run for run in runs if shares[run.folder] == share] for share in sorted(found)}
