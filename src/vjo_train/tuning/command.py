"""`vjo-tune`: trial after trial, until the study is complete."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from omegaconf import DictConfig, OmegaConf
from optuna.trial import FrozenTrial, Trial, TrialState

from vjo_train.config.checks.training import check_training
from vjo_train.errors import VjoError
from vjo_train.files import write_atomically
from vjo_train.report.text import figure
from vjo_train.runs import run_folder
from vjo_train.tuning import plan as plans
from vjo_train.tuning import trial as trials
from vjo_train.tuning.page import write_study_page
from vjo_train.tuning.plan import COMMAND, MONITOR, Plan
from vjo_train.tuning.space import words
from vjo_train.tuning.study import FAULT, Study
from vjo_train.tuning.summary import best, write_summary


def tune(made: Plan) -> None:
    """Runs the trials that the study lacks; every one leaves `trials.csv` and `study.md` as they then are, the last one
    `report.html` too.

    Raises:
        VjoError: a mistake that would meet every trial.
    """
    metrics = plans.metrics(made.settings, made.base, trials.own_metrics(made.base))
    made.folder.mkdir(parents=True, exist_ok=True)
    study = Study(made.folder, made.settings, metrics, made.base.seed)
    content = {COMMAND: made.overrides, **plans.description(made)}
    write_atomically(made.folder / run_folder.STUDY, OmegaConf.to_yaml(OmegaConf.create(content)))
    finished = [trial for trial in study.trials if trial.state == TrialState.COMPLETE]
    print(f"Study in {made.folder}: {len(finished)} of {made.settings.trials} trials finished.", flush=True)
    try:
        while _one(study, made, metrics):
            write_summary(made.folder, study.trials, metrics, made.overrides)
    except (KeyboardInterrupt, SystemExit):
        print("The same command goes on with this study; the trial that was stopped goes on too.", flush=True)
        raise
    write_summary(made.folder, study.trials, metrics, made.overrides)
    print((made.folder / "study.md").read_text(encoding="utf-8") + f"\nStudy: {made.folder}")
    print(f"Report: {write_study_page(made.folder)}")


def _one(study: Study, made: Plan, metrics: Sequence[str]) -> bool:
    """Runs the next trial; False where there is none."""
    with study.next(made.space) as given:
        if given is None:
            return False
        trial, folder = given
        params = words(trial.params)
        print(f"Trial {trial.number}: {' '.join(params)}", flush=True)
        if twin := study.twin(trial):
            print(f"Trial {trial.number}: the same as trial {twin.number}; not run again.", flush=True)
            study.study.tell(trial, twin.values)
            return True
        own = [f"trainer.monitor={metrics[0]}"] if len(metrics) == 1 and metrics[0] != MONITOR else []
        common = made.trial([*params, *own], folder.name)
        try:
            check_training(made.composer, common, multirun=False)
            outcome = made.composer.run(common, _job(trial, metrics, prunes=study.prunes))
        except VjoError as error:
            trial.set_user_attr(FAULT, str(error))
            study.study.tell(trial, state=TrialState.FAIL)
            raise
        if outcome.fault:
            trial.set_user_attr(FAULT, outcome.fault)
        state = TrialState.FAIL if outcome.fault else TrialState.COMPLETE if outcome.values else TrialState.PRUNED
        study.study.tell(trial, outcome.values, state=state)
        print(_said(study.trials, trial.number, outcome, metrics), flush=True)
        return True


def _job(trial: Trial, metrics: Sequence[str], *, prunes: bool) -> Callable[[DictConfig], trials.Outcome]:
    def hopeless(epoch: int, value: float) -> bool:
        trial.report(value, epoch)
        return trial.should_prune()

    return lambda cfg: trials.run_trial(cfg, metrics, hopeless if prunes else None)


def _said(known: Sequence[FrozenTrial], number: int, outcome: trials.Outcome, metrics: Sequence[str]) -> str:
    """What the terminal is told of a trial that has ended."""
    if outcome.fault:
        return f"Trial {number}: failed. {outcome.fault}"
    if outcome.values is None:
        return f"Trial {number}: pruned."
    values = ", ".join(f"{name} {figure(value, 4)}" for name, value in zip(metrics, outcome.values, strict=True))
    front = best(known, metrics)
    if len(metrics) > 1:
        return f"Trial {number}: {values}. On the front: {', '.join(str(trial.number) for trial in front)}."
    return f"Trial {number}: {values}. Best: {figure(front[0].values[0], 4)}, trial {front[0].number}."
