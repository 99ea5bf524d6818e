"""A large JSON file, one item after the other, without the whole of it as Python objects."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Set
from contextlib import suppress
from pathlib import Path
from typing import Any

from vjo_train.errors import DataError

_SPACE = re.compile(r"[\s,]*")
_DECODER = json.JSONDecoder()


def items(path: Path, wanted: Set[str]) -> Iterator[tuple[str, Any]]:
    """The items of the lists of a JSON object, in the order of the file.

    Args:
        path: the file, whose top level is an object.
        wanted: the names of the lists; everything else is passed over.

    Yields:
        The name of the list, and an item of it; the name and None where a list begins.

    Raises:
        DataError: the file cannot be read, or is no such JSON.
    """
    text = _text(path)
    try:
        yield from _members(text, wanted)
    except (ValueError, IndexError) as error:
        raise DataError(f"{path}: found {error}; must be a JSON object that lists images and annotations.") from error


def listed(path: Path, name: str) -> list[Any]:
    """The items of one list, found without reading the others; raises as `items`."""
    text = _text(path)
    for found in re.finditer(rf'"{name}"\s*:\s*\[', text):
        with suppress(ValueError):
            value, _ = _DECODER.raw_decode(text, found.end() - 1)
            if all(isinstance(item, dict) for item in value):
                return list(value)
    return [item for _, item in items(path, {name}) if item is not None]


def _members(text: str, wanted: Set[str]) -> Iterator[tuple[str, Any]]:
    place = _skip(text, 0)
    if text[place] != "{":
        raise ValueError(f"{text[place : place + 20]!r} at its start")
    place = _skip(text, place + 1)
    while text[place] != "}":
        key, place = _DECODER.raw_decode(text, place)
        place = _skip(text, text.index(":", place) + 1)
        if key in wanted and text[place] == "[":
            yield key, None
            place = _skip(text, place + 1)
            while text[place] != "]":
                item, place = _DECODER.raw_decode(text, place)
                yield key, item
                place = _skip(text, place)
            place += 1
        else:
            _, place = _DECODER.raw_decode(text, place)
        place = _skip(text, place)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); must be a JSON file.") from error


def _skip(text: str, place: int) -> int:
    """Behind white space and commas."""
    found = _SPACE.match(text, place)
    assert found is not None
    return found.end()
