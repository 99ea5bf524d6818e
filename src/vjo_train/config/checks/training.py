"""The command line of `vjo-train`: one run, a sweep, or a comparison."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from vjo_train import __version__
from vjo_train.comparison import budget, choosing, plan
from vjo_train.config.checks.class_names import check_without_names, class_names
from vjo_train.config.checks.config import check_run, unchosen_heads
from vjo_train.config.checks.effects import TRAINING, say_without_effect
from vjo_train.config.checks.places import folder_at, is_given
from vjo_train.config.compose import Composer
from vjo_train.config.schema import TrainConfig
from vjo_train.config.signatures import nearest
from vjo_train.errors import ConfigError
from vjo_train.runs import launch, run_folder
from vjo_train.runs.launch import Launch
from vjo_train.runs.reservation import Place

SHOWN = 5
"""How many differences between a run and the one that it goes on from are named."""


@dataclass(frozen=True)
class Checked:
    """What the check of a command line has found.

    Attributes:
        place: where to write; None in all but the first of a run's processes, which reserves their common folder.
        dropped: overrides to take out, whose key the cases of a comparison set from them.
        added: overrides to add: those that drop the keys of heads that are not chosen, the classes that the data set
            names itself, and the word that sweeps over a comparison's cases.
        comparison: the runs of a comparison; none for any other command, and none before its trials have ended.
        counts: the cases whose arithmetic must be counted before its trials and runs are known.
        trials: those that must be run before the runs of a comparison are known.
        started: what started this process beside others of its run; None where nothing did, or this program itself.
        config: what all of those must have been given, as plain data.
    """

    place: Place | None
    dropped: list[str] = field(default_factory=list, kw_only=True)
    added: list[str] = field(default_factory=list)
    comparison: list[plan.Planned] = field(default_factory=list)
    counts: list[budget.Count] = field(default_factory=list)
    trials: list[choosing.Trial] = field(default_factory=list)
    started: Launch | None = None
    config: dict[str, Any] = field(default_factory=dict)


def check_training(composer: Composer, overrides: list[str], multirun: bool) -> Checked:
    """Composes and checks every run that the command line asks for.

    With `trainer.resume=auto` the place is the folder of the unfinished run that it found.

    Raises:
        ConfigError: a mistake in any of the runs.
    """
    master = composer.compose(overrides, RunMode.MULTIRUN if multirun else RunMode.RUN)
    dropped = unchosen_heads(master, composer, overrides)
    check_given_twice(master, composer, overrides)
    if is_given(composer, overrides, "reference"):
        check_reference(master)
    sweeps = multirun or master.hydra.mode == RunMode.MULTIRUN
    if not sweeps:
        check_without_names(composer.compose([*overrides, *dropped]), TrainConfig)
    named = class_names(master)
    own = [*overrides, *dropped, *named]
    checked = _sweep(composer, own) if sweeps else _one(composer, own)
    return replace(checked, added=[*dropped, *named, *checked.added])


def _one(composer: Composer, overrides: list[str]) -> Checked:
    """A single run."""
    cfg = composer.compose(overrides)
    check_run(cfg, TrainConfig)
    if cfg.get("compare") is not None:
        raise ConfigError("compare: is a sweep of many runs; add -m.")
    given = is_given(composer, overrides, "hydra.run.dir")
    started = launch.launched(cfg.trainer.devices, cfg.trainer.num_nodes)
    launch.check(started, cfg.trainer.devices, cfg.trainer.num_nodes)
    checked = Checked(None, started=started, config={} if started is None else _common(cfg))
    if launch.own_rank(cfg.trainer.devices, cfg.trainer.num_nodes):
        return checked
    say_without_effect(cfg, composer, overrides, TRAINING)
    check_resumed(cfg, composer, overrides)
    if cfg.trainer.get("resume") == "auto" and not given and (found := _unfinished(cfg)) is not None:
        return replace(checked, place=Place("hydra.run.dir", found, new=False))
    return replace(checked, place=Place("hydra.run.dir", folder_at(cfg, "hydra.run.dir"), new=not given))


def _common(cfg: DictConfig) -> dict[str, Any]:
    """What all processes of a run must have been given: the config, but for what depends on the machine."""
    plain = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(plain, dict)
    own = {key: value for key, value in plain["dataset"].items() if key not in ("root", "cache_dir", "workers")}
    return {"version": __version__, **{str(k): v for k, v in plain.items() if k != "hydra"}, "dataset": own}


def check_resumed(cfg: DictConfig, composer: Composer, overrides: list[str]) -> None:
    """Compares the config with that of the run that `trainer.resume` names, and says where they differ.

    Raises:
        ConfigError: the command line changes a setting of the optimizer, which goes on as it was saved.
    """
    resume = cfg.trainer.get("resume")
    if resume in (None, "auto"):
        return
    run = Path(resume) if Path(resume).is_dir() else Path(resume).parent.parent
    if not (run / run_folder.CONFIG).is_file():
        return
    differences = run_folder.differences(run, cfg)
    given = {str(override.key_or_group) for override in composer.parse(overrides)}
    for line in differences:
        key = line.partition(":")[0]
        if key.startswith("optimizer.") and {key, "optimizer"} & given:
            raise ConfigError(
                f"{line}; a resumed optimizer goes on as it was saved. Leave {key} out, or start anew from the weights"
                f" by start_from='{resume}'."
            )
    if differences:
        more = f", and {len(differences) - SHOWN} more" if len(differences) > SHOWN else ""
        print(f"trainer.resume: the config differs in {'; '.join(differences[:SHOWN])}{more}.", file=sys.stderr)


def check_given_twice(cfg: DictConfig, composer: Composer, overrides: list[str]) -> None:
    """Refuses a `dataset.val_fraction` on the command line that a `dataset.val_split` would make void.

    A default of `val_fraction` gives way to a `val_split` without a word.

    Raises:
        ConfigError: both are there.
    """
    given = {o.key_or_group: o.value() for o in composer.parse(overrides) if not o.is_sweep_override()}
    fraction, split = given.get("dataset.val_fraction"), cfg.dataset.get("val_split")
    if fraction and split is not None:
        raise ConfigError(
            f"dataset.val_fraction: found {fraction} next to dataset.val_split={split}; "
            "set val_fraction=0 or val_split=null."
        )


def check_reference(cfg: DictConfig) -> None:
    """Checks the names of a `reference`; those of an experiment may be of heads that are not chosen.

    Raises:
        ConfigError: one that is no `<head>/<metric>`.
    """
    for name in cfg.get("reference") or {}:
        task, _, metric = str(name).partition("/")
        if task not in cfg.heads or not metric:
            hint = nearest(task, cfg.heads) or f"; the heads are {', '.join(cfg.heads)}."
            raise ConfigError(f"reference: found '{name}'; must be <head>/<metric>, such as detection/map_area{hint}")


def _sweep(composer: Composer, overrides: list[str]) -> Checked:
    key = "hydra.sweep.dir"
    master = composer.compose(overrides, RunMode.MULTIRUN)
    if (started := launch.outside()) is not None:
        raise ConfigError(f"-m: a sweep cannot run inside {started.by}; start that once for each run.")
    # A comparison's folder holds the runs that it has finished and goes on with.
    new = master.get("compare") is None and not is_given(composer, overrides, key)
    place = Place(key, folder_at(master, key), new)
    if "BasicSweeper" not in master.hydra.sweeper._target_:
        return Checked(place)  # another sweeper decides as it goes; each of its runs is checked when it starts
    added, dropped = [], []
    if master.get("compare") is not None:
        check_run(master, TrainConfig)
        plan.check_settings(master)
        plan.check_sweep(composer, overrides)
        cases = plan.cases(master)
        if master.compare.get("budget") == "compute":
            counts, flops = _counts(composer, master, overrides, place.folder, cases)
            if len(flops) < len(counts):
                return Checked(place, counts=counts)
            cases = budget.lengthened(cases, flops, master.trainer.max_epochs)
            dropped = [
                text
                for text, word in zip(overrides, composer.parse(overrides), strict=True)
                if word.key_or_group == budget.KEY
            ]
            overrides = [word for word in overrides if word not in dropped]
        tried = _trials(composer, master, overrides, place.folder, cases)
        if to_come := [trial for trial in tried if not trial.ended]:
            return Checked(place, trials=to_come)
        added = [plan.sweep_word(composer, cases, overrides, choosing.chosen(tried))]
    jobs = composer.jobs([*overrides, *added], master.hydra.sweeper.get("params"))
    for job in jobs:
        composer.check_choices(job)
    compared = []
    for job in jobs:
        cfg = composer.compose(job)
        check_run(cfg, TrainConfig)
        if added:
            compared.append(plan.planned(cfg))
        _check_launcher(master.hydra.launcher, cfg.trainer)
    plan.check_folders(compared)
    return Checked(place, added, compared, dropped=dropped)


def _check_launcher(launcher: DictConfig, trainer: DictConfig) -> None:
    """Refuses runs of several processes, unless the launcher starts as many for each of them."""
    if "SlurmLauncher" in launcher._target_:
        starts = {"num_nodes": launcher.get("nodes") or 1, "devices": launcher.get("tasks_per_node") or 1}
        for key, name in (("num_nodes", "nodes"), ("devices", "tasks_per_node")):
            if starts[key] != trainer[key]:
                raise ConfigError(
                    f"trainer.{key}={trainer[key]} with -m: found hydra.launcher.{name}={starts[key]}, which must be "
                    "the same: SLURM starts the processes of each run."
                )
        return
    many = "devices" if trainer.devices > 1 else "num_nodes"
    if trainer[many] > 1:
        raise ConfigError(
            f"trainer.{many}={trainer[many]} with -m: each process would start the whole sweep again. Start each run "
            "by torchrun, such as: torchrun --nproc-per-node=2 $(which vjo-train) ..., or use hydra/launcher=slurm."
        )


def _first_seed(composer: Composer, master: DictConfig, overrides: list[str]) -> int:
    return int(composer.compose(composer.jobs(list(overrides), master.hydra.sweeper.get("params"))[0]).seed)


def _counts(
    composer: Composer, master: DictConfig, overrides: list[str], folder: Path, cases: list[plan.Case]
) -> tuple[list[budget.Count], dict[str, float]]:
    """What `compare.budget=compute` counts, checked, and what has been counted."""
    plan.sweep_word(composer, cases, overrides, {})  # refuses overrides that the cases would undo
    counts = budget.counts(composer, cases, overrides, _first_seed(composer, master, overrides))
    flops = budget.read(folder, counts)
    for count in counts:
        if count.case not in flops:
            check_run(composer.compose(list(count.words)), TrainConfig)
    return counts, flops


def _trials(
    composer: Composer, master: DictConfig, overrides: list[str], folder: Path, cases: list[plan.Case]
) -> list[choosing.Trial]:
    """The trials of a comparison, checked; none without `compare.tune`."""
    count = master.compare.get("tune")
    if count is None:
        return []
    # The word also refuses overrides that the cases would undo.
    plan.sweep_word(composer, cases, overrides, {})
    tried = choosing.trials(composer, cases, overrides, folder, _first_seed(composer, master, overrides), count)
    for trial in tried:
        if not trial.ended:
            composer.check_choices(list(trial.words))
            check_run(composer.compose(list(trial.words)), TrainConfig)
    return tried


def _unfinished(cfg: DictConfig) -> Path | None:
    """The run that `trainer.resume=auto` goes on with, and a word on it."""
    folder = folder_at(cfg, "hydra.run.dir").parent
    found = run_folder.unfinished(folder, cfg)
    if found is None:
        print(f"trainer.resume=auto: no unfinished run with this config in {folder}; starting anew.")
    else:
        print(f"trainer.resume=auto: going on with {found}.")
    return found
