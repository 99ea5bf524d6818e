"""From runs to a comparison: methods, their gains over the single-task runs, intervals and costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from vjo_train.comparison import checks
from vjo_train.comparison.costs import Cost, cost_of, mean_cost, together
from vjo_train.comparison.counting import Delta, counted, standing
from vjo_train.comparison.delta import Interval, draw_images, percentile_interval, student_interval
from vjo_train.comparison.reading import Run
from vjo_train.diagnosis.gains import gain
from vjo_train.errors import ConfigError
from vjo_train.runs import run_folder

SINGLE = "single-task"
"""The label of the single-task runs, taken together."""
Kind: TypeAlias = Literal["auto", "seeds", "images"]
"""What an interval is over: `auto` takes seeds where there are several, else images."""


@dataclass(frozen=True)
class Comparison:
    """Runs of several methods and of each task alone.

    Attributes:
        tasks: in the order of the heads.
        metrics: task -> the metric that stands for it.
        weights: figure such as `depth/abs_err` -> what its gain weighs in delta_m; they sum to 1.
        higher: figure -> whether higher is better, of those that the field reports.
        methods: label -> seed -> run.
        singles: task -> seed -> run.
        interval: what the intervals are over.
        level: how often they hold the truth.
        resamples: of the images, in a bootstrap.
        unfinished: folders without results.
    """

    tasks: tuple[str, ...]
    metrics: dict[str, str]
    weights: dict[str, float]
    higher: dict[str, bool]
    methods: dict[str, dict[int, Run]]
    singles: dict[str, dict[int, Run]]
    interval: Kind = "auto"
    level: float = 0.95
    resamples: int = 2000
    unfinished: list[Path] = field(default_factory=list)

    @property
    def seeds(self) -> list[int]:
        """All seeds of finished runs."""
        groups = [*self.methods.values(), *self.singles.values()]
        return sorted({seed for group in groups for seed in group})

    @cached_property
    def budgets(self) -> dict[str, list[str]]:
        """Method -> in what its runs' budgets differ from the single-task runs'; nothing where they are equal."""
        return {label: checks.budget_differences(group, self.singles) for label, group in self.methods.items()}

    @property
    def budget(self) -> str:
        """What `compare.budget` held equal."""
        runs = [run for group in (*self.methods.values(), *self.singles.values()) for run in group.values()]
        return next(map(checks.budget_of, runs), "steps")

    def paired_seeds(self, label: str) -> list[int]:
        """The seeds of which there are a run of the method and one of each task alone; none at unequal budgets."""
        if self.budgets[label]:
            return []
        groups = [self.methods[label], *(self.singles.get(task, {}) for task in self.tasks)]
        return sorted(set.intersection(*(set(group) for group in groups)))

    def values(self, label: str, name: str) -> list[float]:
        """A test figure such as `detection/map_area` of each seed of a method, or of `SINGLE`."""
        task = name.partition("/")[0]
        group = self.singles.get(task, {}) if label == SINGLE else self.methods[label]
        return [group[seed].metric(name) for seed in sorted(group)]

    def gain(self, label: str, name: str) -> Interval:
        """The relative gain of one figure over the single-task run, in percent."""
        return self._interval(label, {name: 1.0})

    def delta_m(self, label: str) -> Interval:
        """The mean relative gain, in percent; see `delta.delta_weights`."""
        return self._interval(label, self.weights)

    def basis(self, label: str) -> str:
        """What the method's intervals are over, in words."""
        seeds = self.paired_seeds(label)
        if not seeds:
            return "-"
        if not self._over_images(seeds):
            return f"{len(seeds)} seeds" if len(seeds) > 1 else "1 seed"
        return f"{self.resamples} resamples of the test images" + (f", {len(seeds)} seeds" if len(seeds) > 1 else "")

    def cost(self, label: str) -> Cost | None:
        """The cost of a method, or of `SINGLE`, as a mean over its seeds; None where a run is missing."""
        if label == SINGLE:
            seeds = set.intersection(*(set(self.singles.get(task, {})) for task in self.tasks))
            costs = [together([cost_of(self.singles[task][seed]) for task in self.tasks]) for seed in sorted(seeds)]
        else:
            costs = [cost_of(run) for run in self.methods[label].values()]
        return mean_cost(costs) if costs else None

    @property
    def counting(self) -> list[str]:
        """The figures that delta_m counts, such as `detection/map_area`, task by task."""
        return list(self.weights)

    def names(self) -> list[str]:
        """All scalar test figures, such as `detection/map_area`, task by task, those that count first."""
        every = [run for group in (*self.methods.values(), *self.singles.values()) for run in group.values()]
        full = {name for run in every if run.results for name in run.results.metrics if name.startswith("test/")}
        found = {name.removeprefix("test/") for name in full}
        main = self.counting
        return sorted(
            (name for name in found if name.count("/") == 1 and name.partition("/")[0] in self.tasks),
            key=lambda name: (self.tasks.index(name.partition("/")[0]), name not in main, name),
        )

    def _interval(self, label: str, weights: Mapping[str, float]) -> Interval:
        """Of the sum of the gains of some figures, each times its weight."""
        seeds = self.paired_seeds(label)
        if not seeds:
            return Interval(math.nan)
        gains = [self._gain(label, seed, weights) for seed in seeds]
        if not self._over_images(seeds):
            return student_interval(gains, self.level)
        resampled = [self._resampled_gain(label, seed, weights) for seed in seeds]
        known = [values for values in resampled if values is not None]
        if len(known) < len(seeds):
            return Interval(fmean(gains))
        return percentile_interval(fmean(gains), np.mean(known, axis=0), self.level)

    def _over_images(self, seeds: Sequence[int]) -> bool:
        return self.interval == "images" or (self.interval == "auto" and len(seeds) == 1)

    def _gain(self, label: str, seed: int, weights: Mapping[str, float]) -> float:
        total = 0.0
        for name, weight in weights.items():
            alone = self.singles[name.partition("/")[0]][seed]
            one = gain(self.methods[label][seed].metric(name), alone.metric(name), name, self.higher.get(name))
            total += weight * one
        return total

    def _resampled_gain(self, label: str, seed: int, weights: Mapping[str, float]) -> npt.NDArray[np.float64] | None:
        """[R] the gain on samples of the test images, the same images for both runs and for all tasks."""
        total = np.zeros(self.resamples)
        for name, weight in weights.items():
            joint = self._figures[self.methods[label][seed].folder]
            alone = self._figures[self.singles[name.partition("/")[0]][seed].folder]
            if name not in joint or name not in alone:
                return None
            pairs = zip(joint[name].tolist(), alone[name].tolist(), strict=True)
            total += weight * np.array([gain(one, base, name, self.higher.get(name)) for one, base in pairs])
        return total

    @cached_property
    def _figures(self) -> dict[Path, dict[str, npt.NDArray[np.float64]]]:
        """Folder -> figure -> [R], on the same samples of images for every run."""
        every = [run for group in (*self.methods.values(), *self.singles.values()) for run in group.values()]
        names = sorted({name for run in every for task in run.records.values() for name in task.ids})
        place = {name: k for k, name in enumerate(names)}
        draws = draw_images(len(names), self.resamples) if names else np.zeros((0, 0), np.int64)
        figures: dict[Path, dict[str, npt.NDArray[np.float64]]] = {}
        for run in every:
            mine = figures[run.folder] = {}
            for task, known in run.records.items():
                own = draws[:, [place[name] for name in known.ids]]
                mine |= {f"{task}/{metric}": values for metric, values in known.records.resampled(own).items()}
        return figures


def compare(
    found: Sequence[Run],
    metrics: Mapping[str, str],
    interval: Kind = "auto",
    level: float = 0.95,
    resamples: int = 2000,
    delta: Delta | None = None,
) -> Comparison:
    """Sorts runs into methods and single tasks.

    Args:
        found: the runs, finished or not.
        metrics: task -> the metric that stands for it; the heads' own for tasks that are left out.
        interval: what intervals are over.
        level: how often they shall hold the truth (0..1).
        resamples: of the images, in a bootstrap.
        delta: what delta_m counts of tasks that are not in `metrics`; None: as the comparison that made the runs said.

    Raises:
        ConfigError: no finished run, two runs of one method and seed, or a metric that no run has.
        DataError: runs that were tested on different images.
    """
    finished = [run for run in found if run.results is not None]
    if not finished:
        raise ConfigError(f"runs: none of the {len(found)} runs has finished.")
    checks.same_test_data(finished)
    labels = _labels(finished)
    finished.sort(key=lambda run: _place(run, labels.get(run.folder, "")))
    methods, singles = _groups(finished, labels)
    widest_first = sorted(finished, key=lambda run: -len(run.tasks))
    tasks = tuple(dict.fromkeys(task for run in widest_first for task in run.tasks))
    chosen = standing(finished, tasks, metrics)
    higher = {
        name.removeprefix("test/"): up for run in finished if run.results for name, up in run.results.reported.items()
    }
    unfinished = [run.folder for run in found if run.results is None]
    return Comparison(
        tasks=tasks,
        metrics=chosen,
        weights=counted(finished, chosen, metrics, higher, delta),
        higher=higher,
        methods=methods,
        singles=singles,
        interval=interval,
        level=level,
        resamples=resamples,
        unfinished=unfinished,
    )


def _groups(
    finished: Sequence[Run], labels: Mapping[Path, str]
) -> tuple[dict[str, dict[int, Run]], dict[str, dict[int, Run]]]:
    """Label -> seed -> run, and task -> seed -> the run of it alone."""
    methods: dict[str, dict[int, Run]] = {}
    singles: dict[str, dict[int, Run]] = {}
    for run in finished:
        group = methods.setdefault(labels[run.folder], {}) if run.single is None else singles.setdefault(run.single, {})
        if run.seed in group:
            what = f"'{labels[run.folder]}'" if run.single is None else f"'{run.single}' alone"
            raise ConfigError(
                f"runs: {what} with seed {run.seed} is there twice: {group[run.seed].folder} and {run.folder}; "
                "choose fewer runs."
            )
        group[run.seed] = run
    return methods, singles


def _labels(finished: Sequence[Run]) -> dict[Path, str]:
    """What tells the multi-task runs apart: their case in a comparison, else the overrides that differ."""
    several = [run for run in finished if run.single is None]
    keys = list(dict.fromkeys(key for run in several for key in run.overrides if not _says_nothing(key)))
    differing = [key for key in keys if len({run.overrides.get(key) for run in several}) > 1]
    if all("case" in run.overrides for run in several):
        differing = ["case"]
    labels = {}
    for run in several:
        words = {key: run.overrides[key] for key in differing if key in run.overrides}
        if "case" in words:
            words["case"] = run_folder.case_without_labels(words["case"])
        short = list(words) in (["case"], ["weighting"])
        labels[run.folder] = " ".join(words.values() if short else (f"{k}={v}" for k, v in words.items())) or "joint"
    return labels


def _says_nothing(key: str) -> bool:
    """Whether an override of this key makes no other method."""
    return key in ("seed", "name", "compare") or key.startswith(("hydra.", "compare.")) or key in checks.INDIFFERENT


def _place(run: Run, label: str) -> tuple[int, str]:
    """Methods in the order in which the config lists them; those that it does not list last, by name."""
    listed = [run_folder.case_name(method) for method in (run.config.get("compare") or {}).get("methods", [])]
    return (listed.index(label) if label in listed else len(listed), label)
