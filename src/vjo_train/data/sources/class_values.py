"""The values of classes in maps, in a file: YAML, or lists of names as public sets and tools have them."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from vjo_train.errors import DataError

KEYS = ("classes", "names", "labels")


def read_class_values(path: Path) -> dict[str, int]:
    """Class name -> value, from a mapping of values to names under `classes` or `names`, or a list of names from 0 on.

    Also read: a text file with a name in each line, from 0 on (`codes.txt`); a table of values and names (Roboflow's
    `_classes.csv`); and Mapillary's `config.json`.

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
        text = path.read_text(encoding="utf-8-sig")
        found = _lines(path, text) if path.suffix.lower() in (".txt", ".csv") else _document(yaml.safe_load(text))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError, csv.Error) as error:
        said = str(error).splitlines()[0]
        raise DataError(f"{path}: no YAML file ({said}); must have `classes: {{1: road, 7: car}}`.") from error
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


def _document(content: Any) -> Any:
    """The mapping or list of names in a YAML or JSON file; Mapillary's labels have theirs under `readable`."""
    found = next((content[key] for key in KEYS if content.get(key)), None) if isinstance(content, dict) else None
    if isinstance(found, list) and all(isinstance(one, dict) for one in found):
        return [one.get("readable") or one.get("name") for one in found]
    return found


def _lines(path: Path, text: str) -> Any:
    """A name in each line, or rows of a value and a name below a first line."""
    if path.suffix.lower() == ".txt":
        return [line.strip() for line in text.splitlines() if line.strip()]
    rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines()) if row]
    if not all(len(row) == 2 and row[0].isdecimal() for row in rows[1:]):
        raise DataError(f"{path}: found other rows than of a value and a name; must be such as `7, car`.")
    return {int(value): name for value, name in rows[1:]}
