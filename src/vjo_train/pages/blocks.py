"""What a page is made of. The template has one macro for each kind of block, and escapes all their text."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeAlias

from PIL import Image

from vjo_train.pages import svg


@dataclass(frozen=True)
class Key:
    """An entry of a legend: a name and the number of its colour."""

    name: str
    style: int

    @property
    def classes(self) -> str:
        """The classes of its swatch."""
        return svg.series(self.style)


@dataclass(frozen=True)
class Figure:
    """A chart: SVG as the functions of this package draw it, under its title and above its legend."""

    kind: ClassVar[str] = "figure"
    title: str
    svg: str
    legend: Sequence[Key] = ()
    note: str = ""


@dataclass(frozen=True)
class Figures:
    """Charts side by side, as many as the page is wide for, with a legend for all of them."""

    kind: ClassVar[str] = "figures"
    figures: Sequence[Figure]
    legend: Sequence[Key] = ()


@dataclass(frozen=True)
class Table:
    """Rows of text: the first `left` columns hold names, the others figures.

    Attributes:
        links: row -> where its name leads.
        shades: row -> -1..1 for each figure: how strongly it is coloured, as a loss below 0, as a gain above.
    """

    kind: ClassVar[str] = "table"
    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int = 1
    links: Sequence[str] = ()
    shades: Sequence[Sequence[float]] = ()


@dataclass(frozen=True)
class Facts:
    """Pairs of a name and what is so named."""

    kind: ClassVar[str] = "facts"
    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Note:
    """A paragraph; `level` is `plain`, `warning` or `error`."""

    kind: ClassVar[str] = "note"
    text: str
    level: str = "plain"


@dataclass(frozen=True)
class Code:
    """Text as it is in a file, folded away under its title unless `open`."""

    kind: ClassVar[str] = "code"
    title: str
    text: str
    open: bool = False


@dataclass(frozen=True)
class Picture:
    """A picture as a data URI, with lines of text below; empty `source` for a place without one; `wide`: a sheet."""

    source: str
    lines: Sequence[str]
    alt: str
    wide: bool = False


@dataclass(frozen=True)
class Pictures:
    """Pictures in a row that wraps, or, where there is a `header`, in a grid of so many columns."""

    kind: ClassVar[str] = "pictures"
    title: str
    pictures: Sequence[Picture]
    header: Sequence[str] = ()


Block: TypeAlias = Figure | Figures | Table | Facts | Note | Code | Pictures


@dataclass(frozen=True)
class Section:
    """A part of a page under a title."""

    title: str
    blocks: Sequence[Block]
    intro: str = ""

    @property
    def anchor(self) -> str:
        """What the section's links lead to."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


@dataclass(frozen=True)
class Tile:
    """A headline figure: its name, its value, and a remark."""

    name: str
    value: str
    remark: str = ""


def embedded(path: Path, side: int | None = None) -> str:
    """A picture file as a data URI; JPEG at most `side` pixels long where that is given, else as it is.

    Raises:
        OSError: the file is missing or no picture.
    """
    if side is None:
        kind = "png" if path.suffix == ".png" else "jpeg"
        return f"data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"
    buffer = io.BytesIO()
    with Image.open(path) as picture:
        small = picture.convert("RGB")
        small.thumbnail((side, side))
        small.save(buffer, "JPEG", quality=80, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
