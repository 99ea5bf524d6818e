"""Do affinities say which tasks help each other? On drawn scenes with eight tasks, through whole runs.

Trains all tasks together (with `insight=affinity`), each alone, and each pair; then the groupings that the affinities
propose for 2, 3, .. networks. Prints, averaged over the seeds, the predicted gain of each task in each pair beside the
trained one, their rank correlation (Spearman), and the mean gain over the single tasks of one network for all and of
each proposed grouping, with its cost. Finished runs are found again.

    .venv/bin/python scripts/studies/grouping.py output=/tmp/grouping [seeds=1,2,3] [networks=3] [hydra overrides ...]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from statistics import fmean

import numpy as np

from vjo_train.config import jobs
from vjo_train.config.checks.config import unchosen_heads
from vjo_train.config.compose import Composer
from vjo_train.insight.affinity import MEANS
from vjo_train.insight.grouping import Groups, best_grouping, gain, of_heads
from vjo_train.runs.results import Results, read_results

EXPERIMENT = "experiment=shapes_everything"
SETTINGS = ("trainer.progress=false", "insight=[affinity]", "insight.affinity.every=10")
OWN = ("output=", "seeds=", "networks=")


def main(arguments: list[str]) -> None:
    """Runs what is missing and prints the tables."""
    given = {"seeds": "1", "networks": "3"} | dict(word.split("=", 1) for word in arguments if word.startswith(OWN))
    rest = [word for word in arguments if not word.startswith(OWN)]
    chosen = any(word.startswith("experiment=") for word in rest)
    overrides = [*([] if chosen else [EXPERIMENT]), *SETTINGS, *rest]
    study = Study(Path(given["output"]), overrides, [int(seed) for seed in given["seeds"].split(",")])
    tasks = study.tasks
    gains = study.gains()
    pairs = [(i, j) for a, b in combinations(tasks, 2) for i, j in ((a, b), (b, a))]
    trained = {pair: study.gain(pair[1], pair) for pair in pairs}
    print(
        "| helper | task | predicted, % of a loss per step | trained, % of the single task |\n| --- | --- | --- | --- |"
    )
    for i, j in pairs:
        print(f"| {i} | {j} | {100 * gains.get((i, j), 0.0):.3f} | {100 * trained[i, j]:+.1f} |")
    known = [pair for pair in pairs if pair in gains]
    own = spearman([gains[pair] for pair in known], [trained[pair] for pair in known])
    both = [(a, b) for a, b in combinations(tasks, 2) if (a, b) in gains and (b, a) in gains]
    predicted = [fmean(gain(gains, task, pair) for task in pair) for pair in both]
    means = spearman(predicted, [fmean(study.gain(task, pair) for task in pair) for pair in both])
    print(f"\nRank correlation: {own:.2f} over {len(known)} tasks in pairs, {means:.2f} over {len(both)} pairs.\n")
    cases: dict[str, Groups] = {"one for all": (tuple(tasks),)}
    for count in range(2, int(given["networks"]) + 1):
        cases[f"proposed, at most {count}"] = best_grouping(gains, tasks, count)
    cases["each alone"] = tuple((task,) for task in tasks)
    print("| networks | groups | mean gain, % | parameters, M | training, min |\n| --- | --- | --- | --- | --- |")
    for name, groups in cases.items():
        found = fmean(study.gain(task, group) for group in groups for task in group)
        size, minutes = study.cost(groups)
        said = "; ".join(" + ".join(group) for group in groups)
        print(f"| {name} | {said} | {100 * found:+.1f} | {size:.1f} | {minutes:.1f} |", flush=True)


class Study:
    """Runs of groups of tasks, one folder each."""

    def __init__(self, folder: Path, overrides: Sequence[str], seeds: Sequence[int]) -> None:
        self.folder, self.overrides, self.seeds = folder, list(overrides), seeds
        self.composer = Composer("train")
        self.tasks = tuple(map(str, self.composer.compose(self.overrides).heads))

    def run(self, group: Sequence[str], seed: int) -> Path:
        """The folder of a finished run."""
        ordered = [task for task in self.tasks if task in group]
        folder = self.folder / f"seed{seed}" / "-".join(ordered)
        if not (folder / "results.json").is_file():
            words = [*self.overrides, f"heads=[{','.join(ordered)}]", f"seed={seed}"]
            words += unchosen_heads(self.composer.compose(words), self.composer, words)
            words += [f"hydra.run.dir={folder}", "trainer.resume=auto"]
            self.composer.run(words, lambda cfg: jobs.train(cfg, folder))
        return folder

    def results(self, group: Sequence[str]) -> list[Results]:
        """Of all seeds."""
        return [read_results(self.run(group, seed) / "results.json") for seed in self.seeds]

    def gains(self) -> dict[tuple[str, str], float]:
        """The affinities of the run of all tasks, means over seeds."""
        found: dict[tuple[str, str], list[float]] = {}
        for seed in self.seeds:
            measured = json.loads((self.run(self.tasks, seed) / MEANS).read_text(encoding="utf-8"))
            for pair, value in of_heads(measured["tasks"], measured["mean"])[1].items():
                found.setdefault(pair, []).append(value)
        return {pair: fmean(values) for pair, values in found.items()}

    def gain(self, task: str, group: Sequence[str]) -> float:
        """What a task gains in a group over its run alone, relative; mean over seeds."""
        alone = [standing(one, task) for one in self.results((task,))]
        return fmean(standing(one, task) / base - 1 for one, base in zip(self.results(group), alone, strict=True))

    def cost(self, groups: Groups) -> tuple[float, float]:
        """Parameters in millions and minutes of training of all networks; mean over seeds."""
        runs = [one for group in groups for one in self.results(group)]
        count = len(self.seeds)
        return sum(one.parameters for one in runs) / count / 1e6, sum(one.wall_seconds for one in runs) / count / 60


def standing(results: Results, task: str) -> float:
    """The test figure that stands for a task; higher is better."""
    metric = next(name.rpartition("/")[2] for name in results.monitors if name.split("/")[1] == task)
    return results.metrics[f"test/{task}/{metric}"]


def spearman(a: Sequence[float], b: Sequence[float]) -> float:
    """The correlation of ranks; ties take their mean rank."""
    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


def ranks(values: Sequence[float]) -> list[float]:
    """Of each value, 1 the smallest."""
    places: Mapping[float, list[int]] = {v: [i for i, w in enumerate(sorted(values)) if w == v] for v in set(values)}
    return [1 + fmean(places[value]) for value in values]


if __name__ == "__main__":
    main(sys.argv[1:])
