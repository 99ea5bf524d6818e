"""Keys of the config that contradict one another, told before a run starts. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from vjo_train.config.signatures import nearest
from vjo_train.errors import ConfigError

SPLITTING = ("fsdp", "deepspeed", "model_parallel")
"""How the names of Lightning's strategies begin that give each process a part of the network."""


def check_strategy(strategy: object) -> None:
    """Refuses what splits the network over processes; other mistakes in `trainer.strategy` are left to the schema.

    Raises:
        ConfigError: such a strategy.
    """
    if isinstance(strategy, str) and strategy.startswith(SPLITTING):
        raise ConfigError(
            f"trainer.strategy: found {strategy}; must be ddp. Weightings combine the whole gradients of each task, "
            "which no process has under it, and these networks fit on one device (docs/scale.md)."
        )


def check_dataset(*, classes: Sequence[str], split: str, val_split: str | None, root: str | None, made: bool) -> None:
    """Looks at what `dataset` says of its splits, classes and place.

    Args:
        classes: `dataset.classes`.
        split: `dataset.split`.
        val_split: `dataset.val_split`.
        root: `dataset.root`.
        made: whether the data set is drawn or downloaded.

    Raises:
        ConfigError: a class twice or a background among them, a validation split that is trained on, or no place.
    """
    twice = sorted({name for name in classes if classes.count(name) > 1})
    if twice:
        raise ConfigError(f"dataset.classes: found {', '.join(twice)} twice; each class may be named once.")
    if "background" in classes:
        raise ConfigError(
            "dataset.classes: found background, which is there without being named (0 in a mask); leave it out."
        )
    if val_split == split:
        raise ConfigError(f"dataset.val_split: found '{split}', which is trained on; must be another split.")
    if root is None and not made:
        raise ConfigError(
            "dataset.root: is null; give the folder that holds JPEGImages/ or the VOCdevkit above it"
            " (for PASCAL VOC 2007, dataset=voc2007 dataset.download=true fetches it)."
        )


def folds(val_fraction: float) -> int:
    """How many folds of a size there are."""
    return max(2, round(1 / val_fraction))


def check_cuts(*, val_split: str | None, val_fraction: float, fold: int | None, group: str | None) -> None:
    """Looks at how a part for validation is cut off.

    Args:
        val_split: `dataset.val_split`.
        val_fraction: `dataset.val_fraction`.
        fold: `dataset.fold`.
        group: `dataset.group`.

    Raises:
        ConfigError: there are no folds, or not that one; the group is no regular expression with a group.
    """
    if fold is not None and val_split is not None:
        raise ConfigError(f"dataset.fold: found {fold} next to dataset.val_split={val_split}; set val_split=null.")
    if fold is not None and val_fraction == 0:
        raise ConfigError(f"dataset.fold: found {fold}, but dataset.val_fraction is 0; 0.2 makes five folds.")
    if fold is not None and fold >= folds(val_fraction):
        last = folds(val_fraction) - 1
        raise ConfigError(f"dataset.fold: found {fold}; dataset.val_fraction={val_fraction:g} makes folds 0..{last}.")
    if group is not None:
        check_pattern("dataset.group", group, "^(p[0-9]+)_")


def check_pattern(key: str, pattern: str, example: str) -> None:
    """Checks a regular expression whose first group is asked for.

    Args:
        key: that holds it.
        pattern: what it holds.
        example: a right one.

    Raises:
        ConfigError: it is none, or has no group.
    """
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise ConfigError(f"{key}: found '{pattern}', which is no regular expression ({error}).") from error
    if groups < 1:
        raise ConfigError(f"{key}: found '{pattern}'; must have a group in brackets, such as '{example}'.")


def check_validation(*, early_stopping: int | None, monitor: str | None, validated: bool) -> None:
    """Looks for the validation that some keys of `trainer` need.

    Args:
        early_stopping: `trainer.early_stopping`.
        monitor: `trainer.monitor`.
        validated: whether there is a validation split.

    Raises:
        ConfigError: there is none.
    """
    for key, value in (("early_stopping", early_stopping), ("monitor", monitor)):
        if value is not None and not validated:
            raise ConfigError(
                f"trainer.{key} needs a validation split: set dataset.val_split, or dataset.val_fraction above 0."
            )


def check_memory(*, compile: bool, activation_checkpointing: bool) -> None:
    """Looks whether the keys of `trainer` that say how activations are computed go together.

    Args:
        compile: `trainer.compile`.
        activation_checkpointing: `trainer.activation_checkpointing`.

    Raises:
        ConfigError: they do not.
    """
    if compile and activation_checkpointing:
        raise ConfigError(
            "trainer.activation_checkpointing: does not go with trainer.compile, which plans by itself what is computed"
            " again in backward; set one of the two to false."
        )


def check_kinds(needs: Mapping[str, frozenset[str]], given: Sequence[str]) -> None:
    """Looks for the kinds of label that tasks need.

    Args:
        needs: task -> kinds.
        given: by the data set.

    Raises:
        ConfigError: one is not given.
    """
    for task, kinds in needs.items():
        if missing := sorted(kinds - set(given)):
            said = f"needs labels of the kind {' and '.join(missing)}; this data set gives {', '.join(given)}"
            if missing == ["category"] and "classes" in given:
                said += "; heads=[classification] learns which classes a picture shows, be it one or several"
            raise ConfigError(f"heads.{task}: {said}.")


def check_norm(norm: str | None, weights: str | None, started: bool = False) -> None:
    """Looks whether the normalisation of the backbone, `backbone.norm`, goes with `backbone.weights`.

    Args:
        norm: `backbone.norm`.
        weights: `backbone.weights`.
        started: whether there is a `start_from`, which gives weights too.

    Raises:
        ConfigError: it does not.
    """
    if norm == "group" and weights is not None:
        raise ConfigError("backbone.norm=group: backbone.weights are made for BatchNorm; use null or norm=frozen.")
    if norm == "frozen" and weights is None and not started:
        raise ConfigError(
            "backbone.norm=frozen needs backbone.weights or start_from: untrained statistics mean nothing."
        )


DILATED = ("resnet50", "resnet101")
"""The networks of torchvision that take `backbone.output_stride`: its other ResNets have blocks without dilation."""


def check_output_stride(name: str, output_stride: int | None) -> None:
    """Looks whether the backbone `backbone.name` can be dilated down to `backbone.output_stride`.

    Raises:
        ConfigError: it cannot.
    """
    if output_stride in (16, 8) and name not in DILATED:
        raise ConfigError(
            f"backbone.output_stride: found {output_stride}, but {name} cannot be dilated; use 32, or one of"
            f" {', '.join(DILATED)}."
        )


def check_classes(key: str, names: Sequence[str], known: Sequence[str]) -> None:
    """Checks the class names of a head.

    Args:
        key: where they stand.
        names: of the head; none for all.
        known: of the data set.

    Raises:
        ConfigError: one that the data set does not have, or that is there twice.
    """
    for name in names:
        if name not in known:
            raise ConfigError(
                f"{key}: found '{name}', which dataset.classes does not name{nearest(name, known) or '.'}"
            )
        if names.count(name) > 1:
            raise ConfigError(f"{key}: found '{name}' twice; each class may be named once.")
