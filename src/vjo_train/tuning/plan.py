"""What a `vjo-tune` command line asks for, checked before the first trial. Imports neither torch nor Optuna."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from vjo_train.config.checks.class_names import class_names
from vjo_train.config.checks.config import unchosen_heads
from vjo_train.config.checks.training import check_training
from vjo_train.config.compose import Composer, quoted
from vjo_train.config.conformity import check
from vjo_train.config.schema import TuneConfig, TuneRoot
from vjo_train.config.signatures import nearest
from vjo_train.errors import ConfigError
from vjo_train.runs import run_folder
from vjo_train.runs.renamed import with_current_names
from vjo_train.tuning import space as spaces

MONITOR = "val/monitor"
GROUPING = "grouping"
COMMAND = "command"
"""The key in a study's file under which stand the overrides that its trials have in common, as they were written."""


@dataclass(frozen=True)
class Plan:
    """A study, checked.

    Attributes:
        folder: of the study.
        settings: the keys of `tune`.
        space: what is searched.
        overrides: what all trials have in common.
        base: the config of the first corner of the space.
        composer: of the trials' configs.
    """

    folder: Path
    settings: TuneConfig
    space: spaces.Space
    overrides: list[str]
    base: DictConfig
    composer: Composer

    def trial(self, params: list[str], name: str) -> list[str]:
        """The overrides of a trial in the folder `name` of the study; a begun one goes on."""
        return [*self.overrides, *params, f"hydra.run.dir={quoted(str(self.folder / name))}", "trainer.resume=auto"]


def plan(tune: Composer, train: Composer, overrides: Sequence[str]) -> Plan:
    """Composes and checks every corner of the space.

    Raises:
        ConfigError: a mistake in any of them, a metric that cannot be maximised on val, a study of another config in
            the folder, or Optuna is not installed.
    """
    own, rest = own_keys(train, overrides)
    rest += unchosen_heads(train.compose(rest), train, rest)
    rest += class_names(train.compose(rest))
    settings = tune_settings(tune, own)
    space = spaces.parse(settings.space)
    for override in train.parse(rest):
        if override.key_or_group in space:
            raise ConfigError(f"{override.input_line}: is searched by tune.space; leave one of the two out.")
    if find_spec("optuna") is None:
        raise ConfigError("vjo-tune: optuna is not installed; pip install 'vjo-train[tune]'.")
    first, *others = spaces.corners(space)
    base = _checked(train, [*rest, *first])
    for corner in others:
        _checked(train, [*rest, *corner])
    metrics(settings, base, {})
    folder = Path(settings.output or f"tune/{base.name}")
    made = Plan(folder, settings, space, rest, base, train)
    _check_same(made)
    return made


def own_keys(train: Composer, overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """The overrides of vjo-tune's own keys, and those of its runs.

    Raises:
        ConfigError: a key that vjo-tune sets itself.
    """
    own: list[str] = []
    rest: list[str] = []
    for text, override in zip(overrides, train.parse(list(overrides)), strict=True):
        key = override.key_or_group
        (own if key in ("tune", GROUPING) or key.startswith("tune.") else rest).append(text)
        if key in ("hydra.run.dir", "trainer.resume", "trainer.monitor"):
            other = {"hydra.run.dir": "tune.output", "trainer.monitor": "tune.metric"}.get(key)
            raise ConfigError(f"{key}: is set by vjo-tune for each trial{f'; use {other}.' if other else '.'}")
    return own, rest


def asks_for_grouping(tune: Composer, train: Composer, overrides: Sequence[str]) -> bool:
    """Whether the command line says `grouping=true`.

    Raises:
        ConfigError: a mistake in the keys of vjo-tune.
    """
    own, _ = own_keys(train, overrides)
    found = tune.compose(own).get(GROUPING)
    if not isinstance(found, bool):
        raise ConfigError(f"{GROUPING}: found {found!r}; must be true or false.")
    return found


def tune_settings(composer: Composer, overrides: list[str]) -> TuneConfig:
    """The checked keys of `tune`; without `grouping=true` there must be a space.

    Raises:
        ConfigError: a mistake in them.
    """
    cfg = composer.compose(overrides)
    with open_dict(cfg):
        del cfg["hydra"]
    if cfg.get(GROUPING) is True:
        if not OmegaConf.is_missing(cfg.tune, "space"):
            raise ConfigError("tune.space: grouping=true searches no settings; leave one of the two out.")
        cfg.tune.space = {GROUPING: []}  # so that the other keys can be checked alike
    if OmegaConf.is_missing(cfg.tune, "space"):
        raise ConfigError(
            "tune.space: missing; what shall be searched, such as"
            " 'tune.space={optimizer.lr: {low: 1e-4, high: 0.1, log: true}, weighting: [equal, dwa]}'."
        )
    check(cfg, TuneRoot)
    keys = OmegaConf.to_container(cfg.tune, resolve=True)
    assert isinstance(keys, dict)
    found = TuneConfig(**{str(key): value for key, value in keys.items() if key != "_target_"})
    if found.pruner == "median" and isinstance(found.metric, list | tuple):
        raise ConfigError("tune.pruner=median: needs a single tune.metric; several have no order to be behind in.")
    if found.pruner == "median" and found.metric == "tasks":
        raise ConfigError("tune.pruner=median: needs a single tune.metric; tasks are several.")
    return found


def _checked(composer: Composer, words: list[str]) -> DictConfig:
    check_training(composer, [*words, "hydra.run.dir=."], multirun=False)
    cfg = composer.compose(words)
    if cfg.trainer.devices * cfg.trainer.num_nodes > 1:
        raise ConfigError(
            f"trainer.devices={cfg.trainer.devices}: trials run on one device each; start vjo-tune several times on"
            " the same study, each with a device of its own (CUDA_VISIBLE_DEVICES), to run trials side by side."
        )
    if cfg.dataset.val_split is None and cfg.dataset.val_fraction == 0:
        raise ConfigError("dataset.val_split: trials are judged on val; set it, or dataset.val_fraction above 0.")
    return cfg


def metrics(settings: TuneConfig, cfg: DictConfig, own: dict[str, str]) -> list[str]:
    """The names of what is maximised.

    Args:
        settings: of the study.
        cfg: the config of a trial.
        own: task -> the metric that stands for it, for `tasks`; where it is not known yet, nothing.

    Raises:
        ConfigError: a name that is no figure of a head on val.
    """
    if settings.metric == "tasks":
        return [f"val/{task}/{own[task]}" for task in cfg.heads if task in own]
    given = settings.metric or MONITOR
    names = [given] if isinstance(given, str) else list(given)
    for name in names:
        parts = name.split("/")
        if name != MONITOR and (len(parts) != 3 or parts[0] != "val"):
            raise ConfigError(
                f"tune.metric: found '{name}'; must be {MONITOR}, val/<task>/<metric>, a list of such, or tasks."
                " Trials never look at test."
            )
        if name != MONITOR and parts[1] not in cfg.heads:
            hint = nearest(parts[1], list(cfg.heads)) or f"; the heads are {', '.join(cfg.heads)}."
            raise ConfigError(f"tune.metric: '{name}' is of no head{hint}")
    if len(set(names)) < len(names):
        raise ConfigError(f"tune.metric: found one twice in [{', '.join(names)}].")
    return names


def description(made: Plan) -> dict[str, Any]:
    """What makes two starts the same study: the common config and what is searched, but not for how long."""
    plain = OmegaConf.to_container(made.base, resolve=False)
    assert isinstance(plain, dict)
    for name in ("hydra", "insight", "merge"):
        plain.pop(name, None)
    space = {
        key: list(node) if isinstance(node, tuple) else {k: v for k, v in vars(node).items() if v is not None}
        for key, node in made.space.items()
    }
    metric = made.settings.metric
    # As it comes back from the file: a metric in a list is a list.
    return {"space": space, "metric": metric if isinstance(metric, str | None) else list(metric), "config": plain}


def _check_same(made: Plan) -> None:
    file = made.folder / run_folder.STUDY
    if not file.is_file():
        return
    study = OmegaConf.load(file)
    assert isinstance(study, DictConfig)
    before = OmegaConf.to_container(with_current_names(study), resolve=False)
    assert isinstance(before, dict)
    there = {str(key): value for key, value in before.items() if key != COMMAND}
    if difference := run_folder.first_difference(there, description(made)):
        raise ConfigError(
            f"'{made.folder}' holds a study of something else ({difference}). Give this one a folder of its own, such"
            " as tune.output=tune/second."
        )
