"""The elements that charts are drawn from. Text is escaped when the tree is written; colours are the style sheet's."""

from __future__ import annotations

from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

COLOURS = 8
"""How many colours the style sheet has; series beyond them are dashed."""


def canvas(width: float, height: float, label: str) -> Element:
    """An empty picture that scales with its place; `label` is what a screen reader says."""
    return Element("svg", {"viewBox": f"0 0 {number(width)} {number(height)}", "role": "img", "aria-label": label})


def shape(parent: Element, tag: str, kind: str = "", hint: str = "", **attributes: float | str) -> Element:
    """A child of `parent`; `kind` is its class in the style sheet, `hint` what is shown when it is pointed at."""
    named = {k: v if isinstance(v, str) else number(v) for k, v in attributes.items()}
    element = SubElement(parent, tag, ({"class": kind} if kind else {}) | named)
    if hint:
        SubElement(element, "title").text = hint
    return element


def write(parent: Element, x: float, y: float, text: str, anchor: str = "start", kind: str = "") -> Element:
    """Text at a point; `anchor` is start, middle or end."""
    element = shape(parent, "text", kind, x=x, y=y)
    if anchor != "start":
        element.set("text-anchor", anchor)
    element.text = text
    return element


def as_text(picture: Element) -> str:
    """The picture as part of an HTML page."""
    return ElementTree.tostring(picture, encoding="unicode", short_empty_elements=False)


def series(style: int) -> str:
    """The classes of the `style`-th series: a colour, and a dash where the colours begin again."""
    return f"s{style % COLOURS}" + (" dash" if style // COLOURS % 2 else "")


def number(value: float) -> str:
    """A coordinate to a tenth of a unit."""
    return f"{value:.1f}".removesuffix(".0")


def shortened(text: str, most: int) -> str:
    """`text` cut to `most` characters, the last of them an ellipsis."""
    return text if len(text) <= most else text[: most - 1] + "…"
