"""What may happen to the content of a file of a data set: bytes, XML, lists, JSON, tables, YAML."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from typing import Any

NUMBERS = ("-1", "0", "1", "nan", "inf", "-inf", "1e309", "1" * 400, "", " ", "0x10", "1_0", "٣", "1e4", "2.5", "x")
TEXTS = ("circle", "Circle", "", "\u202e", "square<!-- -->", "&lt;", "a" * 5000, "1", "person")
IDS = ("../../etc/passwd", "/etc/passwd", "..", "a/b", "\\\\host\\x", "\ufeff", "\u0000", "00000 1", "x" * 5000, "")

Mutation = Callable[[random.Random, bytes], bytes]


def flip(rng: random.Random, content: bytes) -> bytes:
    """One to twenty bytes are others."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 20)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def truncate(rng: random.Random, content: bytes) -> bytes:
    """The end is missing."""
    return content[: rng.randrange(len(content))]


def insert(rng: random.Random, content: bytes) -> bytes:
    """Random bytes come in between."""
    place = rng.randrange(len(content) + 1)
    return content[:place] + rng.randbytes(rng.randint(1, 200)) + content[place:]


_VALUE = re.compile(rb'(?<=[>"])([^<>"\s]+)(?=[<"])')
"""Of an XML file, between tags or as an attribute."""


def repeat(rng: random.Random, content: bytes) -> bytes:
    """A stretch comes twice."""
    start, end = sorted(rng.randrange(len(content) + 1) for _ in range(2))
    return content[:end] + content[start:]


def drop(rng: random.Random, content: bytes) -> bytes:
    """A stretch is missing."""
    start, end = sorted(rng.randrange(len(content) + 1) for _ in range(2))
    return content[:start] + content[end:]


def swap_fields(rng: random.Random, content: bytes) -> bytes:
    """Two values of an XML file have changed places."""
    fields = list(_VALUE.finditer(content))
    one, two = sorted(rng.sample(fields, 2), key=lambda field: field.start())
    parts = (content[: one.start(1)], two[1], content[one.end(1) : two.start(1)], one[1], content[two.end(1) :])
    return b"".join(parts)


def odd_value(rng: random.Random, content: bytes) -> bytes:
    """A value of an XML file is an odd one."""
    field = rng.choice(list(_VALUE.finditer(content)))
    value = rng.choice(NUMBERS if field[1].isdigit() else TEXTS).encode()
    return content[: field.start(1)] + value + content[field.end(1) :]


def lose_element(rng: random.Random, content: bytes) -> bytes:
    """An element of an XML file is missing, or comes twice."""
    element = rng.choice(list(re.finditer(rb"<(\w+)[^<>]*>[^<>]*</\1>|<\w+[^<>]*/>", content)))
    return content[: element.start()] + element[0] * rng.choice((0, 2)) + content[element.end() :]


def entities(rng: random.Random, content: bytes) -> bytes:
    """An XML file with entities: of its own that grow, or of another file."""
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10 if n else "ha"}">' for n in range(12))
    other = '<!ENTITY l11 SYSTEM "file:///etc/passwd">'
    start = f"<!DOCTYPE annotation [{rng.choice((laughs, other))}]>".encode()
    return start + odd_value(rng, content).replace(b"</name>", b"&l11;</name>")


def recode(rng: random.Random, content: bytes) -> bytes:
    """An XML file or a list in another encoding, which it may or may not declare."""
    coding = rng.choice(("utf-16", "utf-32", "utf-8-sig", "latin-1", "cp037"))
    declared = rng.choice(("", f'<?xml version="1.0" encoding="{rng.choice((coding, "utf-8", "nonsense"))}"?>'))
    return (declared + content.decode() + rng.choice(("", "é"))).encode(coding, errors="replace")


def odd_id(rng: random.Random, content: bytes) -> bytes:
    """A line of a list is an odd id."""
    lines = content.decode().splitlines()
    lines[rng.randrange(len(lines))] = rng.choice((*IDS, lines[0]))
    return "\n".join(lines).encode()


def odd_json(rng: random.Random, content: bytes) -> bytes:
    """A value of a JSON file is an odd one, is missing, or comes twice."""
    document = json.loads(content)
    places = list(_places(document))
    if not places:
        return b"[]"
    holder, key = rng.choice(places)
    what = rng.random()
    if what < 0.6:
        holder[key] = rng.choice(JSON_VALUES)
    elif what < 0.8:
        del holder[key]
    elif isinstance(holder, list):
        holder.insert(key, holder[key])
    else:
        holder[f"{key} "] = holder[key]
    return json.dumps(document).encode()


def _places(node: Any) -> list[tuple[Any, Any]]:
    """Every value of a JSON document, by what holds it and its key there."""
    pairs = list(node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ())
    return [(node, key) for key, _ in pairs] + [place for _, value in pairs for place in _places(value)]


def deep_json(rng: random.Random, content: bytes) -> bytes:
    """A JSON file is nested very deeply."""
    return b"[" * rng.choice((1000, 100_000)) + content


def odd_cell(rng: random.Random, content: bytes) -> bytes:
    """A cell of a table, or a number of a list, is an odd one."""
    cells = list(re.finditer(rb"[^,;\s]+", content))
    cell = rng.choice(cells)
    value = rng.choice((*NUMBERS, *TEXTS, ",", '"', "\n", "a,b")).encode()
    return content[: cell.start()] + value + content[cell.end() :]


def odd_line(rng: random.Random, content: bytes) -> bytes:
    """A line of a text is missing, comes twice, or changes places."""
    lines = content.split(b"\n")
    first, second = rng.randrange(len(lines)), rng.randrange(len(lines))
    if rng.random() < 0.5:
        lines[first], lines[second] = lines[second], lines[first]
    else:
        lines[first : first + 1] = [lines[first]] * rng.choice((0, 2))
    return b"\n".join(lines)


JSON_VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 1.5, 10**30, -(10**30), float("nan"), float("inf"), 1e308, "", "x", "../../etc/passwd"),
    *([], {}, [[]], [None], [1, 2], [-1, -1, 1e9, 1e9], {"counts": "x", "size": [1, 1]}, {"counts": [1], "size": []}),
    *({"counts": [10**12], "size": [64, 64]}, {"counts": "x" * 999, "size": [10**6, 10**6]}, "a" * 5000, "\u0000"),
)
BYTES: tuple[Mutation, ...] = (flip, truncate, insert, repeat, drop)
XML: tuple[Mutation, ...] = (swap_fields, odd_value, lose_element, entities, recode)
LISTS: tuple[Mutation, ...] = (odd_id, odd_id, recode)
TEXT: tuple[Mutation, ...] = (odd_cell, odd_cell, odd_cell, odd_line, odd_line, recode)
JSON: tuple[Mutation, ...] = (odd_json,) * 7 + (deep_json,)
KINDS: dict[str, tuple[Mutation, ...]] = {
    ".xml": (*BYTES, *XML, *XML),
    ".json": (*BYTES, *JSON, *JSON),
    ".csv": (*BYTES, *TEXT),
    ".txt": (*BYTES, *LISTS, *TEXT),
    ".yaml": (*BYTES, *TEXT),
}
"""Ending of a file's name -> what may happen to its content; `BYTES` for others."""
