"""Conditions on runs, such as `weighting=adatask` and `detection/map_area>0.5`. Imports no torch."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from vjo_train.errors import ConfigError
from vjo_train.runs.listed import ListedRun

_WORD = re.compile(r"\s*([^\s=!<>]+?)\s*(==|!=|>=|<=|=|>|<)\s*(.*?)\s*$")
_ORDER: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Condition:
    """`<key><sign><value>`: the sign is =, !=, <, <=, > or >=; a value may hold * and ?."""

    key: str
    sign: str
    value: str

    def holds(self, run: ListedRun, figure: Callable[[ListedRun, str], float]) -> bool:
        """Whether a run fulfils it.

        Args:
            run: the run.
            figure: a figure of a run by name; NaN where there is none.
        """
        if self.sign in _ORDER:
            return any(_ORDER[self.sign](number, float(self.value)) for number in self._numbers(run, figure))
        same = any(_same(text, self.value) for text in self._texts(run, figure))
        return same == (self.sign == "=")

    def _numbers(self, run: ListedRun, figure: Callable[[ListedRun, str], float]) -> list[float]:
        numbers = [figure(run, self.key)]
        value = _at(run.config, self.key)
        return [*numbers, float(value)] if isinstance(value, int | float) else numbers

    def _texts(self, run: ListedRun, figure: Callable[[ListedRun, str], float]) -> list[str]:
        """Every way in which the value of the key may be written."""
        own: dict[str, list[str]] = {
            "state": [run.state],
            "tasks": [*run.tasks, ",".join(run.tasks)],
            "task": list(run.tasks),
            "folder": [str(run.folder)],
            "date": [run.date.isoformat(sep=" "), run.date.date().isoformat()],
        }
        if self.key in own:
            return own[self.key]
        texts = [run.overrides[self.key]] if self.key in run.overrides else []
        number = figure(run, self.key)
        texts += [repr(number)] if math.isfinite(number) else []
        value = _at(run.config, self.key)
        if isinstance(value, Mapping):
            # A group: the choice is the module that its class lies in, or the class itself.
            *_, module, name = ["", *str(value.get("_target_", "")).split(".")]
            choice = run.choice(self.key) if "." not in self.key else None
            return [*texts, module, name, *([] if choice is None else [choice])]
        return texts if value is _ABSENT else [*texts, "null" if value is None else _text(value)]


def read_conditions(texts: Iterable[str]) -> list[Condition]:
    """Conditions from words such as `seed=1`; several in a text stand with blanks or commas between them.

    Raises:
        ConfigError: a word that is no condition, or an order of something that is no number.
    """
    return [_condition(word) for text in texts for word in _words(text)]


def known(runs: Iterable[ListedRun], key: str, figure: Callable[[ListedRun, str], float]) -> bool:
    """Whether any run has the key of a condition."""
    probe = Condition(key, "=", "")
    return any(probe._texts(run, figure) for run in runs)


def _words(text: str) -> list[str]:
    """The words between blanks and commas; blanks beside a sign and what stands in brackets belong to the word."""
    bare = re.sub(r"\s*(==|!=|>=|<=|=|>|<)\s*", r"\1", text.strip())
    if bare.startswith("[") and bare.endswith("]"):
        bare = bare[1:-1]
    return [word for word in re.split(r"[,\s]+(?![^\[{(]*[\]})])", bare) if word]


def _condition(word: str) -> Condition:
    match = _WORD.match(word.strip("'\""))
    if match is None:
        raise ConfigError(
            f"where: found '{word}'; must be <key><sign><value> with one of = != < <= > >=, such as weighting=adatask"
            " or detection/map_area>0.5."
        )
    key, sign, value = match[1], {"==": "="}.get(match[2], match[2]), match[3].strip("'\"")
    if sign in _ORDER:
        try:
            float(value)
        except ValueError:
            raise ConfigError(f"where: found '{word}'; after {sign} there must be a number.") from None
    return Condition(key, sign, value)


def _same(text: str, wanted: str) -> bool:
    if text.lower() == wanted.lower() or fnmatchcase(text.lower(), wanted.lower()):
        return True
    try:
        return float(text) == float(wanted)
    except ValueError:
        return False


class _Absent:
    """No such key; None is a value."""


_ABSENT = _Absent()


def _at(config: Mapping[str, Any], key: str) -> Any:
    """The value of a key such as `trainer.max_epochs`."""
    node: Any = config
    for part in key.split("."):
        if not isinstance(node, Mapping) or part not in node:
            return _ABSENT
        node = node[part]
    return node


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "[" + ",".join(map(str, value)) + "]" if isinstance(value, list) else str(value)
