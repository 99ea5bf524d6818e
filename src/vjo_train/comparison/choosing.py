"""`compare.tune`: what each case of a comparison is trained with, chosen on val by the same number of trials.

Without it, a method may win because the common settings suit it (Kurin et al. 2022, "In Defense of the Unitary
Scalarization for Deep Multi-Task Learning"; Xin et al. 2022, "Do Current Multi-Task Optimization Methods in Deep
Learning Even Help?"). All trials are of one seed, and leave the test alone.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from omegaconf import DictConfig

from vjo_train.comparison.plan import Case, seed_left_out
from vjo_train.config.compose import Composer, quoted
from vjo_train.errors import CheckpointError, ConfigError
from vjo_train.files import replacing
from vjo_train.runs import run_folder
from vjo_train.runs.directions import gains

FILE = "trial.json"
"""The file in a trial's folder that says how it ended."""
MONITOR = "val/monitor"
"""What a trial is judged by: the mean of the heads' own metrics."""
LR = "optimizer.lr"
LAMBDAS = "weighting.lambdas"
WIDEST = 4.0
"""Weights of `fixed` are drawn from 1 / this to this."""


@dataclass(frozen=True)
class Trial:
    """One training of a case.

    Attributes:
        case: its name.
        number: from 1.
        tried: the overrides that are tried.
        words: all overrides of the run.
        folder: where it is run.
    """

    case: str
    number: int
    tried: tuple[str, ...]
    words: tuple[str, ...]
    folder: Path

    @property
    def ended(self) -> bool:
        return (self.folder / FILE).is_file()

    def value(self) -> float:
        """What it reached on val; minus infinity for one that failed.

        Raises:
            CheckpointError: a damaged file.
        """
        path = self.folder / FILE
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            return -math.inf if found["value"] is None else float(found["value"])
        except (ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{path} is damaged ({error}); remove the folder to run the trial again.") from error

    def end(self, value: float | None, fault: str = "") -> None:
        """Writes how it ended."""
        with replacing(self.folder / FILE) as file:
            file.write(json.dumps({"tried": list(self.tried), "value": value, "fault": fault}).encode())


def factors(count: int) -> list[float]:
    """1, 1/2, 2, 1/4, 4, ...: what the learning rate is multiplied by in each of so many trials."""
    return [2.0 ** (-((k + 1) // 2) if k % 2 else k // 2) for k in range(count)]


def weights(tasks: Sequence[str], number: int) -> dict[str, float]:
    """Weights of `fixed` for a trial, by its number alone: even in the first, then drawn; their mean is 1.

    Args:
        tasks: at least one.
        number: from 1.
    """
    if number == 1:
        return dict.fromkeys(tasks, 1.0)
    source = random.Random(f"weights of trial {number}")
    drawn = [math.exp(source.uniform(-math.log(WIDEST), math.log(WIDEST))) for _ in tasks]
    return {task: round(len(tasks) * value / sum(drawn), 3) for task, value in zip(tasks, drawn, strict=True)}


def trials(
    composer: Composer, cases: Sequence[Case], overrides: Sequence[str], folder: Path, seed: int, count: int
) -> list[Trial]:
    """The trials of all cases, in the order in which they are run.

    Args:
        composer: of the comparison's config.
        cases: of the comparison.
        overrides: the user's.
        folder: of the comparison.
        seed: of every trial.
        count: trials of each case.

    Raises:
        ConfigError: a folder holds a trial of another config.
    """
    common = seed_left_out(composer, overrides)
    found = []
    for case in cases:
        words = [*common, *case.words, f"seed={seed}"]
        base = composer.compose(words)
        for number, factor in enumerate(factors(count), start=1):
            place = folder / run_folder.TUNED / case.name / str(number)
            tried = _tried(base, factor, number)
            own = (*words, *tried, f"hydra.run.dir={quoted(str(place))}", "trainer.resume=auto")
            trial = Trial(case.name, number, tried, own, place)
            if (place / run_folder.CONFIG).is_file() and (
                difference := run_folder.difference(place, composer.compose(list(own)))
            ):
                raise ConfigError(
                    f"'{place}' holds a trial of another config ({difference}). Give this comparison a folder of its "
                    "own, such as name=compare2, or move that one away."
                )
            found.append(trial)
    return found


def _tried(base: DictConfig, factor: float, number: int) -> tuple[str, ...]:
    found = [f"{LR}={base.optimizer.lr * factor:.6g}"]
    if base.single is None and "lambdas" in base.weighting and base.weighting.lambdas is None:
        drawn = weights(run_folder.trained_tasks(base), number)
        found.append(f"{LAMBDAS}={{{','.join(f'{task}:{weight}' for task, weight in drawn.items())}}}")
    return tuple(found)


def chosen(tried: Sequence[Trial]) -> dict[str, tuple[str, ...]]:
    """Case -> the overrides of its best trial, the first of equal ones; nothing for a case with trials to come.

    Raises:
        ConfigError: every trial of a case failed.
        CheckpointError: a damaged file.
    """
    found = {}
    for case in dict.fromkeys(trial.case for trial in tried):
        own = [trial for trial in tried if trial.case == case]
        if not all(trial.ended for trial in own):
            continue
        best = max(own, key=lambda trial: trial.value())
        if best.value() == -math.inf:
            fault = json.loads((best.folder / FILE).read_text(encoding="utf-8"))["fault"]
            raise ConfigError(f"compare.tune: every trial of {case} failed; the first: {fault}")
        found[case] = best.tried
    return found


class Outcome(Protocol):
    """How a training ended: `values` of the metrics, or None for the reason `fault`."""

    @property
    def values(self) -> list[float] | None: ...

    @property
    def fault(self) -> str: ...


def run(composer: Composer, open_trials: Sequence[Trial], train: Callable[..., Outcome]) -> None:
    """Runs trials one after another; one whose loss is no longer finite, or that runs out of memory, has lost.

    Args:
        composer: of the comparison's config.
        open_trials: those that have not ended.
        train: the config, `metrics` and `hopeless` -> how it ended; `tuning.trial.run_trial`.

    Raises:
        VjoError: any other mistake.
    """
    for place, trial in enumerate(open_trials, start=1):
        print(f"Trial {place} of {len(open_trials)}: {trial.case} {' '.join(trial.tried)}", flush=True)
        monitor = composer.compose(list(trial.words)).trainer.monitor or MONITOR
        outcome = composer.run(list(trial.words), partial(train, metrics=[monitor], hopeless=None))
        value = None if outcome.values is None else outcome.values[0]
        # Kept such that more is better.
        trial.end(None if value is None else gains([value], [monitor])[0], outcome.fault)
        print(f"Trial {place}: {'failed. ' + outcome.fault if value is None else f'{monitor} {value:.4f}'}", flush=True)
