"""The space that is searched: config keys with their choices or ranges. Imports neither torch nor Optuna."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from vjo_train.config.compose import quoted
from vjo_train.config.signatures import nearest
from vjo_train.errors import ConfigError

MOST_CORNERS = 64
"""Combinations that are all composed before a study; of larger spaces, one key at a time."""


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; whole ones where both are."""

    low: float
    high: float
    log: bool = False
    step: float | None = None

    @property
    def whole(self) -> bool:
        return all(isinstance(x, int) for x in (self.low, self.high, self.step or 1))


Choices: TypeAlias = tuple[str, ...]
"""What a key may be, as the override grammar writes it."""
Space: TypeAlias = dict[str, Range | Choices]


def parse(given: Mapping[str, Any]) -> Space:
    """`tune.space` as plain data -> what each key may be.

    Raises:
        ConfigError: a node that is neither a list of choices nor a range, or a range that is empty.
    """
    return {key: _parse(value, f"tune.space.{key}") for key, value in given.items()}


def _parse(value: Any, path: str) -> Range | Choices:
    if isinstance(value, Mapping):
        return _range(value, path)
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        raise ConfigError(
            f"{path}: found {value!r}; must be a list of choices, or a range such as {{low: 1e-4, high: 0.1}}."
        )
    words = tuple(map(word, value))
    if len(set(words)) < len(words):
        raise ConfigError(f"{path}: found a choice twice in [{', '.join(words)}].")
    return words


def _range(value: Mapping[str, Any], path: str) -> Range:
    keys = ("low", "high", "log", "step")
    for key in value:
        if key not in keys:
            raise ConfigError(
                f"{path}: found key '{key}'{nearest(str(key), keys) or '; its keys are low, high, log, step.'}"
            )
    for key in ("low", "high", "step"):
        number = value.get(key)
        if (key != "step" or number is not None) and (isinstance(number, bool) or not isinstance(number, int | float)):
            raise ConfigError(f"{path}.{key}: found {number!r}; must be a number.")
    found = Range(value["low"], value["high"], bool(value.get("log", False)), value.get("step"))
    if not (math.isfinite(found.low) and math.isfinite(found.high) and found.low < found.high):
        raise ConfigError(f"{path}: found low {found.low} and high {found.high}; low must be below high.")
    if found.log and (found.low <= 0 or found.step is not None):
        raise ConfigError(f"{path}: with log: true, low must be above 0 and step be left out.")
    if found.step is not None and found.step <= 0:
        raise ConfigError(f"{path}.step: found {found.step}; must be a number > 0.")
    return found


def word(value: Any) -> str:
    """A value of a config as the override grammar writes it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{word(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(word, value)) + "]"
    text = str(value)
    return text if not isinstance(value, str) or re.fullmatch(r"[\w./-]+", text) else quoted(text)


def words(params: Mapping[str, Any]) -> list[str]:
    """Parameters of a trial, choices as the grammar writes them, as overrides."""
    return [f"{key}={value if isinstance(value, str) else word(value)}" for key, value in params.items()]


def command(common: Sequence[str], params: Mapping[str, Any]) -> str:
    """The command that trains and tests a trial: `common` overrides and its own parameters, for a shell."""
    return f"vjo-train {' '.join(map(_shell, [*common, *words(params)]))}"


def _shell(text: str) -> str:
    return f'"{text}"' if set(text) & set("{}[]() '*?$&;|<>") else text


def corners(space: Space) -> list[list[str]]:
    """Overrides that try every choice and both ends of every range: all combinations, or one key at a time."""
    ends = {
        key: list(node) if isinstance(node, tuple) else [word(node.low), word(node.high)] for key, node in space.items()
    }
    if math.prod(map(len, ends.values())) <= MOST_CORNERS:
        return [words(dict(zip(ends, found, strict=True))) for found in itertools.product(*ends.values())]
    first = {key: values[0] for key, values in ends.items()}
    return [words(first | {key: value}) for key, values in ends.items() for value in values]
