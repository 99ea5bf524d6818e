"""Keys on the command line that have no effect in a setting: what is said of them before a run. Imports no torch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from omegaconf import DictConfig

from vjo_train.config.compose import Composer
from vjo_train.runs import run_folder


class Rule(NamedTuple):
    """Keys, and when they have no effect.

    Attributes:
        keys: full names; one that ends with a dot stands for all below it.
        idle: whether the config makes them void.
        why: ends the sentence `<key> has no effect: ...`.
    """

    keys: tuple[str, ...]
    idle: Callable[[DictConfig], bool]
    why: str


def _at(cfg: DictConfig, key: str, default: Any = None) -> Any:
    node: Any = cfg
    for part in key.split("."):
        node = node.get(part) if isinstance(node, Mapping | DictConfig) else None
        if node is None:
            return default
    return node


def _unvalidated(cfg: DictConfig) -> bool:
    never = (_at(cfg, "trainer.check_val_every_n_epoch", 1)) > _at(cfg, "trainer.max_epochs", 1)
    return never or (_at(cfg, "dataset.val_split") is None and not _at(cfg, "dataset.val_fraction"))


def _one_task(cfg: DictConfig) -> bool:
    # `single` asks for one task of many, with all the rest as it is.
    return cfg.get("single") is None and len(run_folder.trained_tasks(cfg)) == 1 and not _split(cfg)


def _split(cfg: DictConfig) -> bool:
    """Whether a head has several losses."""
    return any(head.get("split_losses") for head in cfg.heads.values())


_GRADIENTS = (
    *("aligned", "cagrad", "config", "dualproj", "fairgrad", "gradvac", "imtl_g", "mgda", "nash", "pcgrad", "sdmgrad"),
    "upgrad",
)
"""Modules of weightings that do nothing but weigh the gradients of the tasks that are on against one another."""


def _in_turns(cfg: DictConfig) -> bool:
    """Whether such a weighting never sees two losses at once."""
    alone = str(_at(cfg, "schedule._target_", "")).endswith((".Alternating", ".Proportional"))
    module = str(_at(cfg, "weighting._target_", "")).rpartition(".")[0]
    return alone and not _split(cfg) and module.rpartition("weighting.")[2] in _GRADIENTS


TRAINING: Sequence[Rule] = (
    Rule(("trainer.resume_lr",), lambda c: _at(c, "trainer.resume") is None, "there is no trainer.resume"),
    Rule(
        ("trainer.drawn_images", "trainer.monitor", "trainer.early_stopping"),
        _unvalidated,
        "there is no validation (dataset.val_split, dataset.val_fraction, trainer.check_val_every_n_epoch)",
    ),
    Rule(
        ("trainer.check_val_every_n_epoch",),
        lambda c: _at(c, "dataset.val_split") is None and not _at(c, "dataset.val_fraction"),
        "there is no validation split (dataset.val_split, dataset.val_fraction)",
    ),
    Rule(
        ("trainer.early_stopping",),
        lambda c: _at(c, "trainer.early_stopping", 0) >= _at(c, "trainer.max_epochs", 0) > 0,
        "training ends before so many epochs (trainer.max_epochs)",
    ),
    Rule(
        ("dataset.group",),
        lambda c: _at(c, "dataset.val_split") is not None and not _at(c, "dataset.meta_fraction"),
        "nothing is cut off the training split",
    ),
    Rule(
        ("dataset.augment.zoom_out_max",),
        lambda c: _at(c, "dataset.augment.zoom_out") == 0,
        "dataset.augment.zoom_out is 0",
    ),
    Rule(
        ("dataset.augment.jitter_strength",),
        lambda c: _at(c, "dataset.augment.jitter") == 0,
        "dataset.augment.jitter is 0",
    ),
    Rule(("weighting", "weighting.", "schedule", "schedule."), _one_task, "there is one task"),
    Rule(("weighting", "weighting."), _in_turns, "one task is on at a time (schedule), which leaves nothing to weigh"),
    Rule(
        ("helpers",),
        lambda c: not any(map(run_folder.self_supervised, c.heads.values())),
        "there is no self-supervised head",
    ),
    Rule(
        ("backbone.frozen_stages",),
        lambda c: (
            bool(_at(c, "backbone.frozen_stages"))
            and all(_at(c, key) is None for key in ("backbone.weights", "start_from", "trainer.resume"))
        ),
        "the weights that it keeps as they are were drawn at random (backbone.weights, start_from)",
    ),
)
PREDICTION: Sequence[Rule] = (
    Rule(("tracker.",), lambda c: not c.get("track"), "track is false"),
    Rule(("threshold",), lambda c: not c.get("pictures"), "no pictures are drawn"),
)
EVALUATION: Sequence[Rule] = (Rule(("tracker.",), lambda c: c.get("sequences") is None, "there are no sequences"),)
EXPORT: Sequence[Rule] = (
    Rule(("calibration",), lambda c: c.get("precision") != "int8", "it is for precision=int8"),
    Rule(("tolerance",), lambda c: c.get("precision") != "float32", "it is for precision=float32"),
)
REPORT: Sequence[Rule] = (
    Rule(
        ("metrics", "delta", "interval", "level", "resamples"),
        lambda c: c.get("runs") is None or any(c.get(key) is not None for key in ("sort", "where", "top", "format")),
        "nothing is compared",
    ),
)


def without_effect(cfg: DictConfig, given: Iterable[str], rules: Sequence[Rule]) -> list[str]:
    """A sentence for each of the `given` keys that the config makes void.

    Args:
        cfg: composed and checked.
        given: the keys and groups that the command line sets.
        rules: of the command.
    """
    said = []
    for key in dict.fromkeys(given):
        for rule in rules:
            if any(key == own or (own.endswith(".") and key.startswith(own)) for own in rule.keys) and rule.idle(cfg):
                said.append(f"{key} has no effect: {rule.why}.")
                break
    return said


def say_without_effect(cfg: DictConfig, composer: Composer, overrides: list[str], rules: Sequence[Rule]) -> None:
    """Prints what `without_effect` has found of a command line."""
    given = [str(o.key_or_group) for o in composer.parse(overrides) if not o.is_delete() and not o.is_sweep_override()]
    for line in without_effect(cfg, given, rules):
        print(line, file=sys.stderr, flush=True)
