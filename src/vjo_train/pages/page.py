"""Blocks to one HTML file: style and pictures inside, nothing fetched, no script."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined

from vjo_train import __version__
from vjo_train.pages.blocks import Note, Section, Tile

CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
"""Characters that no page may hold."""


def render(
    title: str,
    *,
    subtitle: str = "",
    tiles: Sequence[Tile] = (),
    notes: Sequence[Note] = (),
    sections: Sequence[Section] = (),
) -> str:
    """The page. All text is escaped, and what no page may hold replaced; only charts are taken as they are.

    Args:
        title: of the page.
        subtitle: one line below it.
        tiles: headline figures.
        notes: what a reader must know first.
        sections: in their order; those without blocks are left out.
    """
    environment = Environment(
        loader=PackageLoader("vjo_train.pages", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (resources.files("vjo_train.pages") / "style.css").read_text(encoding="utf-8")
    text = environment.get_template("page.html").render(
        title=title,
        subtitle=subtitle,
        tiles=tiles,
        notes=notes,
        sections=[section for section in sections if section.blocks],
        style=style,
        version=__version__,
    )
    return CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
