"""The study on disk: its trials, which come next, and what becomes of those that were killed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from vjo_train.config.schema import TuneConfig
from vjo_train.files import locked
from vjo_train.runs.directions import higher_is_better
from vjo_train.runs.reservation import Place, reserved
from vjo_train.tuning.space import Range, Space

FILE = "study.db"
FOLDER, CONTINUES, FAULT = "folder", "continues", "fault"
"""What is kept with a trial: its folder below the study's, the killed trial that it goes on with, why it failed."""


class Study:
    """An Optuna study in a SQLite file; several processes may work on it at once.

    A trial that was running in a process that is no more is marked failed, and its parameters are tried again in the
    same folder, where the run goes on from its last checkpoint. The lock that a run holds on its folder tells whether
    its process lives.

    Args:
        folder: of the study.
        settings: how to search.
        metrics: names of what is made best.
        seed: with the number of a trial and the results before it, decides what is tried next.
    """

    def __init__(self, folder: Path, settings: TuneConfig, metrics: Sequence[str], seed: int) -> None:
        self.folder, self.settings, self.seed = folder, settings, seed
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.prunes = settings.pruner == "median" or (settings.pruner == "auto" and len(metrics) == 1)
        pruner = optuna.pruners.MedianPruner(n_startup_trials=settings.startup)
        # Waits while another process writes.
        storage = optuna.storages.RDBStorage(
            f"sqlite:///{folder / FILE}", engine_kwargs={"connect_args": {"timeout": 60}}
        )
        self.study = optuna.create_study(
            storage=storage,
            study_name="tune",
            directions=["maximize" if higher_is_better(name) else "minimize" for name in metrics],
            pruner=pruner if self.prunes else optuna.pruners.NopPruner(),
            load_if_exists=True,
        )

    @property
    def trials(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False)

    @contextmanager
    def next(self, space: Space) -> Iterator[tuple[Trial, Path] | None]:
        """The next trial, with its parameters set, and its folder, which is kept for it in the block; None: no more.

        Raises:
            ConfigError: the folder cannot be made.
        """
        with locked(self.folder / ".study.lock", wait=True):
            self._requeue()
            if len(counted(self.trials)) >= self.settings.trials:
                trial = None
            else:
                self.study.sampler = self._sampler()
                trial = self.study.ask()
                name = trial.user_attrs.get(FOLDER, default_folder(trial.number))
                trial.set_user_attr(FOLDER, name)
                suggest(trial, space)
                held = reserved(Place("tune.output", self.folder / name, new=False))
                held.__enter__()
        if trial is None:
            yield None
            return
        try:
            yield trial, self.folder / name
        finally:
            held.__exit__(None, None, None)

    def twin(self, trial: Trial) -> FrozenTrial | None:
        """A finished trial with the same parameters."""
        same = (t for t in self.trials if t.state == TrialState.COMPLETE and t.params == trial.params)
        return next(same, None)

    def _sampler(self) -> optuna.samplers.BaseSampler:
        # Anew for each trial, so that a study that was stopped goes on with what it would have tried.
        seed = self.seed + 7919 * len(self.trials)
        if self.settings.sampler == "random":
            return optuna.samplers.RandomSampler(seed=seed)
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=self.settings.startup)

    def _requeue(self) -> None:
        for trial in self.trials:
            name = trial.user_attrs.get(FOLDER, default_folder(trial.number))
            if trial.state != TrialState.RUNNING:
                continue
            with locked(self.folder / name / ".lock", wait=False) as free:
                if free:
                    kept = {FOLDER: name, CONTINUES: trial.number}
                    # First the new one: killed in between, the study has a trial twice, and loses none.
                    self.study.enqueue_trial(dict(trial.params), user_attrs=kept)
                    self.study.tell(trial.number, state=TrialState.FAIL)


def default_folder(number: int) -> str:
    """Where a trial is run."""
    return f"trial_{number:04d}"


def suggest(trial: Trial, space: Space) -> Mapping[str, Any]:
    """Sets the parameters of a trial."""
    for key, node in space.items():
        if not isinstance(node, Range):
            trial.suggest_categorical(key, list(node))
        elif node.whole:
            trial.suggest_int(key, int(node.low), int(node.high), log=node.log, step=int(node.step or 1))
        else:
            trial.suggest_float(key, node.low, node.high, log=node.log, step=node.step)
    return trial.params


def counted(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """The trials that count: all that have ended by themselves or are running; not the killed and the waiting ones."""
    killed = {trial.user_attrs.get(CONTINUES) for trial in trials}
    return [trial for trial in trials if trial.state != TrialState.WAITING and trial.number not in killed]
