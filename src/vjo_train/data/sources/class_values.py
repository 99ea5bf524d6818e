"""The values of classes in maps, in a YAML file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from vjo_train.errors import DataError

KEYS = ("classes", "names")


def read_class_values(path: Path) -> dict[str, int]:
    """Class name -> value, from a mapping of values to names under `classes` or `names`, or a list of names from 0 on.

    Raises:
        DataError: the file cannot be read or holds no such thing, or a name or a value has no meaning.
    """
    try:
        changed = path.stat().st_mtime_ns
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); must be a YAML file of classes.") from error
    return dict(_read(path, changed))


@lru_cache(8)
def _read(path: Path, changed: int) -> Mapping[str, int]:
    """It is asked for with each picture."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        said = str(error).splitlines()[0]
        raise DataError(f"{path}: no YAML file ({said}); must have `classes: {{1: road, 7: car}}`.") from error
    found: Any = next((content[key] for key in KEYS if content.get(key)), None) if isinstance(content, dict) else None
    numbered = dict(enumerate(found)) if isinstance(found, list) else found
    if not isinstance(numbered, dict):
        raise DataError(f"{path}: names no classes; must have `classes: {{1: road, 7: car}}`.")
    values: dict[str, int] = {}
    for value, name in numbered.items():
        if type(value) is not int or not 0 <= value <= 65535 or not isinstance(name, str) or not name:
            raise DataError(f"{path}: found {value!r}: {name!r}; must be a value in 0..65535 and a name.")
        if name in values:
            raise DataError(f"{path}: found '{name}' twice, with the values {values[name]} and {value}.")
        values[name] = value
    return values
