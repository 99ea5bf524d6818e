"""What a sign of a layout is, and where signs are looked for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple


class Sign(NamedTuple):
    """A file or folder, and what it says of the keys."""

    seen: Path
    keys: tuple[str, ...] = ()
    note: str = ""


def files_of(place: Path, patterns: tuple[str, ...], most: int = 10_000) -> Iterator[Path]:
    """The first files that fit, pattern by pattern, whatever the case of their endings."""
    for pattern in patterns:
        any_case = re.sub(r"\.[a-z]+$", lambda end: re.sub("[a-z]", _either_case, end[0]), pattern)
        yield from (path for path in islice(place.glob(any_case), most) if path.is_file())


def _either_case(letter: re.Match[str]) -> str:
    return f"[{letter[0]}{letter[0].upper()}]"


def quoted(value: object) -> str:
    """A value for the command line, in quotes where Hydra or a shell would stumble over it."""
    text = str(value)
    return text if re.fullmatch(r"[\w./-]+", text) else f"\"'{text}'\""
