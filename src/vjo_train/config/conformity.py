"""The check of a composed config against the constructors that it names, without importing them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Annotated, Any

from annotated_types import Len
from omegaconf import DictConfig

from vjo_train.config.definitions import PACKAGE
from vjo_train.config.schema import DataConfig, ReportConfig, TrainConfig, TuneRoot
from vjo_train.config.signatures import Argument, Node, Signature, nearest, outside_signature, signature
from vjo_train.config.values import MISSING, choice_hint, describe, fits, found, item_kind, plain
from vjo_train.errors import ConfigError

GIVEN = {
    "dataset": {"seed"},
    "neck": {"in_channels"},
    "heads": {"channels", "num_classes", "strides"},
    "sharing": {"backbone", "neck", "levels", "difficulty", "absent"},
    "weighting": {"tasks", "channels", "helpers"},
    "schedule": {"tasks"},
    "insight": {"output"},
    "merge": {"heads"},
}
"""Group -> the arguments that `build.py` supplies: no keys."""
CLASSES = "classes"
"""The key of a head that names its classes, which `build.py` takes instead of the head."""
NAMED: Signature = {CLASSES: Argument(Annotated[Sequence[str], Len(1)] | None, required=False)}
"""The key of the heads that are told a number of classes, which is no argument of their constructors."""
LISTED = ("heads", "insight", "merge")
"""The groups of which several choices can be made; each is a node of its own in the group's."""


def check(cfg: DictConfig, root: type[TrainConfig | DataConfig | ReportConfig | TuneRoot] = TrainConfig) -> None:
    """Checks a composed config against the constructors that it names, without importing them.

    Values that refer to the run itself (`${hydra:...}`) are not known before it starts and pass. A node whose
    `_target_` lies in another package is checked as far as that package's source says what it takes.

    Raises:
        ConfigError: an unknown or missing key, a wrong type, a value out of range, an unknown choice or target.
    """
    _check_keys(plain(cfg), signature(f"{root.__module__}.{root.__name__}"), "")


def takes_classes(head: DictConfig) -> bool:
    """Whether a head is told a number of classes, and so may have class names of its own."""
    target = str(head["_target_"])
    inside = target.split(".")[0] == PACKAGE
    arguments = signature(target) if inside else outside_signature(target)
    return arguments is not None and "num_classes" in arguments


def check_node(node: DictConfig | None, path: str) -> None:
    """Checks one node that names its class, and what is below it.

    Args:
        node: None is taken for right.
        path: its full name.

    Raises:
        ConfigError: as `check`.
    """
    if node is not None:
        _check_value(plain(node), Node, path)


def _check_keys(node: Mapping[str, Any], arguments: Signature, path: str) -> None:
    prefix = f"{path}." if path else ""
    for key, value in node.items():
        if key in arguments:
            _check_value(value, arguments[key].type, f"{prefix}{key}")
        elif key not in ("_target_", "_convert_", "_recursive_", "_partial_"):
            hint = nearest(key, arguments) or f"; its keys are {', '.join(arguments) or '(none)'}."
            raise ConfigError(f"Key '{key}' is not in {repr(path) if path else 'the config'}{hint}")
    for name, argument in arguments.items():
        if argument.required and name not in node:
            raise ConfigError(f"{prefix}{name}: missing; must be {describe(argument.type)}.")


def _check_value(value: Any, kind: Any, path: str) -> None:
    if value is MISSING:
        raise ConfigError(f"{path}: no value given; must be {describe(kind)}.")
    if not fits(value, kind):
        raise ConfigError(f"{path}: found {found(value)}; must be {describe(kind)}{choice_hint(value, kind) or '.'}")
    if isinstance(value, Mapping):
        if kind is Node and "_target_" not in value:
            chosen = f" Choose it among heads=[...], or drop it by ~{path}." if path.startswith("heads.") else ""
            raise ConfigError(f"{path}: has no _target_, so nothing says what it is.{chosen}")
        if "_target_" in value:
            _check_target(value, path)
        else:
            for key, child in value.items():
                if isinstance(child, Mapping):
                    _check_value(child, item_kind(kind), f"{path}.{key}")


def _check_target(node: Mapping[str, Any], path: str) -> None:
    target = node["_target_"]
    if not isinstance(target, str) or not all(map(str.isidentifier, target.split("."))) or "." not in target:
        raise ConfigError(f"{path}._target_: found {found(target)}; must be a class, such as {PACKAGE}.module.Class.")
    outside = target.split(".")[0] != PACKAGE
    if outside and find_spec(target.split(".")[0]) is None:
        raise ConfigError(
            f"{path}._target_: found '{target}'; there is no module {target.split('.')[0]}. Install it, or give the "
            "folder that it lies in by -cd DIR."
        )
    try:
        arguments = outside_signature(target) if outside else signature(target)
    except ConfigError as error:
        raise ConfigError(f"{path}.{error}") from None
    if arguments is None:
        return
    group, _, rest = path.partition(".")
    part = rest.count(".") == 0 and (group in LISTED) == bool(rest)
    given = GIVEN.get(group, set()) if part else set()
    added = NAMED if "num_classes" in arguments and "num_classes" in given else {}
    _check_keys(node, {name: arguments[name] for name in arguments if name not in given} | added, path)
