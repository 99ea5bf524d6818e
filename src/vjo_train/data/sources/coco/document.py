"""The lists of a large JSON file, item by item: never the whole of it in memory."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

from vjo_train.errors import DataError

_CHUNK = 1 << 20
"""Bytes that are read at a time."""
_OPENING = re.compile(rb"\s*:\s*[\[{]")
_GAP = re.compile(r"[\s,]*")
_KEY = re.compile(r'[\s,]*"[^"\\]*"\s*:\s*')


def start(path: Path, section: str) -> int | None:
    """The byte after the `[` of the file's first list of that name; None where there is none.

    A mapping of numbers to items, as LIVECell has it, is a list too; its place is behind its `{`.

    Raises:
        DataError: the file cannot be read.
    """
    name = f'"{section}"'.encode()  # inside a text it would be written \"...\", which does not match
    try:
        with open(path, "rb") as file:
            if not file.seek(0, 2):
                return None
            with mmap(file.fileno(), 0, access=ACCESS_READ) as content:
                place = -1
                while (place := content.find(name, place + 1)) >= 0:
                    if opening := _OPENING.match(content, place + len(name)):
                        return opening.end()
    except FileNotFoundError:
        raise DataError(f"{path}: the file is missing; must be a JSON file.") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); must be a JSON file.") from error
    return None


def items(path: Path, section: str) -> Iterator[dict[str, Any]]:
    """The objects of a list of the file, each made when it is asked for.

    Args:
        path: a JSON file with lists under names at its top, such as `images`.
        section: the name of one of them.

    Raises:
        DataError: the file has no such list, or is no JSON where the list stands.
    """
    place = start(path, section)
    if place is None:
        raise DataError(f"{path}: found no list '{section}'; must be COCO's instance JSON, in UTF-8.")
    number = -1
    for number, item in enumerate(values(path, place, section)):
        if type(item) is not dict:
            raise DataError(f"{path}: {section}[{number}] is {str(item)[:40]!r}; must be an object {{...}}.")
        yield item


def values(path: Path, start: int, section: str) -> Iterator[Any]:
    """The values of a list of the file, each made when it is asked for.

    Args:
        path: a JSON file.
        start: the byte after the list's `[`, or after the `{` of a mapping, whose values are wanted.
        section: what to call the list in messages.

    Raises:
        DataError: the file is no JSON in UTF-8 where the list stands.
    """
    decode, scan = codecs.getincrementaldecoder("utf-8")().decode, json.JSONDecoder().raw_decode
    text, place, number, chunk = "", 0, 0, _CHUNK
    with open(path, "rb") as file:
        file.seek(start - 1)
        opening, closing = (_KEY, "}") if file.read(1) == b"{" else (_GAP, "]")
        while True:
            gap = _GAP.match(text, place)
            place = gap.end() if gap else place
            try:
                if text.startswith(closing, place):
                    return
                if (named := opening.match(text, place)) is None:
                    raise json.JSONDecodeError("Expecting a name in quotes", text, place)
                value, place = scan(text, named.end())
            except json.JSONDecodeError as error:  # perhaps it only goes on in the next chunk
                content = file.read(chunk)
                if not content:
                    raise DataError(f"{path}: broken JSON at {section}[{number}] ({error.msg}).") from error
                try:
                    text, place, chunk = text[place:] + decode(content), 0, 2 * chunk
                except UnicodeDecodeError as fault:
                    raise DataError(f"{path}: not UTF-8 text ({fault.reason}); must be JSON in UTF-8.") from fault
            except RecursionError as error:
                raise DataError(f"{path}: {section}[{number}] is nested too deeply; must be a flat object.") from error
            else:
                number, chunk = number + 1, _CHUNK
                yield value
