"""The command line of `vjo-train`: one run, a sweep, or a comparison."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

from hydra.types import RunMode
from omegaconf import DictConfig

from vjo_train.comparison import choosing, plan
from vjo_train.config.checks.class_names import check_without_names, class_names
from vjo_train.config.checks.config import check_run, unchosen_heads
from vjo_train.config.checks.effects import TRAINING, say_without_effect
from vjo_train.config.checks.places import folder_at, is_given
from vjo_train.config.compose import Composer
from vjo_train.config.schema import TrainConfig
from vjo_train.config.signatures import nearest
from vjo_train.errors import ConfigError
from vjo_train.runs import run_folder
from vjo_train.runs.reservation import Place

SHOWN = 5
"""How many differences between a run and the one that it goes on from are named."""


@dataclass(frozen=True)
class Checked:
    """What the check of a command line has found.

    Attributes:
        place: where to write; None in all but the first of a run's processes, which reserves their common folder.
        added: overrides to add: those that drop the keys of heads that are not chosen, the classes that the data set
            names itself, and the word that sweeps over a comparison's cases.
        comparison: the runs of a comparison; none for any other command, and none before its trials have ended.
        trials: those that must be run before the runs of a comparison are known.
    """

    place: Place | None
    added: list[str] = field(default_factory=list)
    comparison: list[plan.Planned] = field(default_factory=list)
    trials: list[choosing.Trial] = field(default_factory=list)


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
    if _torchrun() and not given:
        raise ConfigError("hydra.run.dir: under torchrun it must be given, so that all processes use the same folder.")
    if _torchrun() and os.environ.get("MASTER_PORT") == "0":
        raise ConfigError("MASTER_PORT: found 0, where processes wait for ever; use torchrun --standalone.")
    if _later_process(several=cfg.trainer.devices * cfg.trainer.num_nodes > 1):
        return Checked(None)
    say_without_effect(cfg, composer, overrides, TRAINING)
    check_resumed(cfg, composer, overrides)
    if cfg.trainer.get("resume") == "auto" and not given and (found := _unfinished(cfg)) is not None:
        return Checked(Place("hydra.run.dir", found, new=False))
    return Checked(Place("hydra.run.dir", folder_at(cfg, "hydra.run.dir"), new=not given))


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


def _later_process(several: bool) -> bool:
    """Whether this is not the first process of a run, by what torchrun, Lightning or SLURM say of it."""
    names = ["RANK", "LOCAL_RANK", *(["SLURM_PROCID"] if several else [])]
    return any(os.environ.get(name, "0") != "0" for name in names)


def _sweep(composer: Composer, overrides: list[str]) -> Checked:
    key = "hydra.sweep.dir"
    master = composer.compose(overrides, RunMode.MULTIRUN)
    if _torchrun():
        raise ConfigError("-m: a sweep cannot run inside torchrun; start torchrun once for each run.")
    # A comparison's folder holds the runs that it has finished and goes on with.
    new = master.get("compare") is None and not is_given(composer, overrides, key)
    place = Place(key, folder_at(master, key), new)
    if "BasicSweeper" not in master.hydra.sweeper._target_:
        return Checked(place)  # another sweeper decides as it goes; each of its runs is checked when it starts
    added = []
    if master.get("compare") is not None:
        check_run(master, TrainConfig)
        plan.check_settings(master)
        plan.check_sweep(composer, overrides)
        tried = _trials(composer, master, overrides, place.folder)
        if to_come := [trial for trial in tried if not trial.ended]:
            return Checked(place, trials=to_come)
        added = [plan.sweep_word(composer, master, overrides, choosing.chosen(tried))]
    jobs = composer.jobs([*overrides, *added], master.hydra.sweeper.get("params"))
    for job in jobs:
        composer.check_choices(job)
    compared = []
    for job in jobs:
        cfg = composer.compose(job)
        check_run(cfg, TrainConfig)
        if added:
            compared.append(plan.planned(cfg))
        many = "devices" if cfg.trainer.devices > 1 else "num_nodes"
        if cfg.trainer[many] > 1:
            raise ConfigError(
                f"trainer.{many}={cfg.trainer[many]} with -m: each process would start the whole sweep again. "
                "Start each run by torchrun, such as: torchrun --nproc-per-node=2 $(which vjo-train) ..."
            )
    plan.check_folders(compared)
    return Checked(place, added, compared)


def _trials(composer: Composer, master: DictConfig, overrides: list[str], folder: Path) -> list[choosing.Trial]:
    """The trials of a comparison, checked; none without `compare.tune`."""
    count = master.compare.get("tune")
    if count is None:
        return []
    # The word also refuses overrides that the cases would undo.
    plan.sweep_word(composer, master, overrides, {})
    first = composer.compose(composer.jobs(list(overrides), master.hydra.sweeper.get("params"))[0])
    tried = choosing.trials(composer, plan.cases(master), overrides, folder, first.seed, count)
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


def _torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1
