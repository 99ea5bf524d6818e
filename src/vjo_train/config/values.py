"""Whether a config value fits an annotation, and how to say what would."""

from __future__ import annotations

import math
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from annotated_types import Ge, GroupedMetadata, Gt, Le, Lt, MaxLen, MinLen
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vjo_train.config.signatures import Node, nearest
from vjo_train.errors import ConfigError

_NUMBERS: dict[Any, str] = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
_LIMITS = {Gt: (">", "gt"), Ge: (">=", "ge"), Lt: ("<", "lt"), Le: ("<=", "le")}


class _Mark:
    """A value that is not there."""


MISSING = _Mark()
"""Stands for `???`."""
LATER = _Mark()
"""Stands for a value that is only known in the run; it fits everywhere."""


def plain(node: Any, path: str = "") -> Any:
    """A config as dicts and lists with interpolations resolved, `MISSING` and `LATER` in their places.

    Raises:
        ConfigError: an interpolation that leads nowhere.
    """
    if not isinstance(node, DictConfig | ListConfig):
        return node
    if isinstance(node, ListConfig):
        return [_item(node, i, f"{path}[{i}]") for i in range(len(node))]
    keys: list[Any] = list(node)
    return {str(key): _item(node, key, f"{path}.{key}" if path else str(key)) for key in keys}


def _item(node: DictConfig | ListConfig, key: Any, path: str) -> Any:
    if OmegaConf.is_missing(node, key):
        return MISSING
    if OmegaConf.is_interpolation(node, key) and "${hydra:" in str(OmegaConf.to_container(node)[key]):  # type: ignore
        return LATER
    try:
        return plain(node[key], path)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{path}: {str(error).splitlines()[0]}.") from error


def fits(value: Any, kind: Any) -> bool:
    """Whether plain `value` (from YAML) is of the annotated `kind`: whole numbers are numbers, booleans are not."""
    origin, args = get_origin(kind), get_args(kind)
    if kind is Any or kind is object or value is LATER:
        return True
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, arg) for arg in args)
    if origin is Annotated:
        return fits(value, args[0]) and all(_within(value, limit) for limit in _flat(args[1:]))
    if origin is Literal:
        return any(value == choice and type(value) is type(choice) for choice in args)
    if kind is None or kind is type(None):
        return value is None
    if kind is Node:
        return isinstance(value, Mapping)
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind in (str, Path):
        return isinstance(value, str)
    base = origin or kind
    if not isinstance(base, type):
        raise TypeError(f"annotation {kind} is not supported in a config")
    if issubclass(base, Mapping):
        key, item = args or (Any, Any)
        return isinstance(value, Mapping) and all(fits(k, key) and fits(v, item) for k, v in value.items())
    if issubclass(base, Sequence):
        if not isinstance(value, Sequence) or isinstance(value, str):
            return False
        if base is tuple and args and args[-1] is not Ellipsis:
            return len(value) == len(args) and all(fits(v, a) for v, a in zip(value, args, strict=True))
        return all(fits(v, args[0]) for v in value) if args else True
    return isinstance(value, base)


def describe(kind: Any) -> str:
    """What fits `kind`, as the end of "must be ..."."""
    origin, args = get_origin(kind), get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(describe(arg) for arg in args)
    if origin is Annotated:
        return f"{describe(args[0])}{_limits(args[1:])}"
    if origin is Literal:
        return f"one of {', '.join(map(_plain, args))}"
    if kind is None or kind is type(None):
        return "null"
    if kind is Node:
        return "a node with _target_"
    base = origin or kind
    if base in _NUMBERS:
        return _NUMBERS[base]
    if base is Path:
        return "a path"
    if base is tuple and args and args[-1] is not Ellipsis:
        return f"[{', '.join(describe(arg) for arg in args)}]"
    if isinstance(base, type) and issubclass(base, Mapping):
        return f"a mapping{f' of {describe(args[0])} to {describe(args[1])}' if args else ''}"
    if isinstance(base, type) and issubclass(base, Sequence):
        return f"a list{f' of {describe(args[0])}' if args else ''}"
    return "anything" if kind in (Any, object) else str(kind)


def found(value: Any) -> str:
    """A value with its kind, for "found ..."."""
    if isinstance(value, bool) or value is None:
        return _plain(value)
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value} (not finite)"
    for types_, word in ((str, "text"), (int, "a whole number"), (float, "a number"), (Mapping, "a mapping")):
        if isinstance(value, types_):
            return f"{_plain(value, quoted=True)} ({word})"
    return f"{value!r} (a list)"


def choice_hint(value: Any, kind: Any) -> str:
    """`; did you mean ...?` where `value` is close to one of the choices of `kind`."""
    choices = [c for c in _choices(kind) if isinstance(c, str)]
    return nearest(value, choices) if isinstance(value, str) else ""


def item_kind(kind: Any) -> Any:
    """The annotation of a mapping's values; Any where `kind` is no mapping or says nothing of them."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return item_kind(args[0])
    if origin in (typing.Union, types.UnionType):
        return next((inner for arg in args if (inner := item_kind(arg)) is not Any), Any)
    return args[1] if isinstance(origin, type) and issubclass(origin, Mapping) else Any


def _choices(kind: Any) -> list[Any]:
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    return [choice for arg in get_args(kind) for choice in _choices(arg)] if get_origin(kind) else []


def _plain(value: Any, quoted: bool = False) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if quoted else str(value)


def _flat(limits: Sequence[Any]) -> list[Any]:
    return [one for limit in limits for one in (list(limit) if isinstance(limit, GroupedMetadata) else [limit])]


def _within(value: Any, limit: Any) -> bool:
    match limit:
        case Gt(gt=bound):
            return bool(value > bound)
        case Ge(ge=bound):
            return bool(value >= bound)
        case Lt(lt=bound):
            return bool(value < bound)
        case Le(le=bound):
            return bool(value <= bound)
        case MinLen(min_length=bound):
            return len(value) >= bound
        case MaxLen(max_length=bound):
            return len(value) <= bound
    raise TypeError(f"range {limit} is not supported in a config")


def _limits(limits: Sequence[Any]) -> str:
    words = []
    for limit in _flat(limits):
        if isinstance(limit, MinLen):
            words.append(f"of length >= {limit.min_length}")
        elif isinstance(limit, MaxLen):
            words.append(f"of length <= {limit.max_length}")
        else:
            sign, name = _LIMITS[type(limit)]
            words.append(f"{sign} {getattr(limit, name)}")
    return f" {' and '.join(words)}" if words else ""
