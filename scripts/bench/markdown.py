"""The figures of a benchmark as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def page(record: dict[str, Any]) -> str:
    """All aims, and the tables of all sections, with machine and versions; `record` as `benchmark.py --json` has it."""
    machine = record["machine"]
    names = [machine["cpu"]["name"], f"{machine['threads']} threads", machine["device"]["name"]]
    known = [f"{name} {version}" for name, version in record["versions"].items() if version]
    words = [
        f"Measured on: {', '.join(dict.fromkeys(names))}. Versions: {', '.join(known)}.",
        f"Medians over {record['repeats']} turns; the load of the machine before the start was {machine['load']}.",
    ]
    sections = record["sections"]
    return "\n".join([*words, *aims(sections), *(line for item in sections.items() for line in section(*item))]) + "\n"


def aims(sections: dict[str, Any]) -> list[str]:
    """A table of what was aimed at: ratios, or seconds."""
    rows = [
        (f"`{name}`", aim["aim"], f"{aim['at_most']:.3f}", f"{aim['measured']:.3f}", "yes" if aim["met"] else "no")
        for name, figures in sections.items()
        for aim in figures["aims"]
    ]
    return ["", "## Aims", "", *table(("section", "ratio, or seconds", "at most", "measured", "met"), rows)]


def section(name: str, figures: dict[str, Any]) -> list[str]:
    """A table of the sides."""
    settings = ", ".join(f"{key} {_words(value)}" for key, value in figures["settings"].items())
    measure = figures["measure"]
    lines = ["", f"## `{name}`", "", f"{measure[:1].upper()}{measure[1:]} per {figures['unit']}; {settings}.", ""]
    header = ("side", "median", f"ratio to {figures['reference']}")
    scale = figures["scale"]
    rows = [(side, f"{scale * row['median']:.1f}", f"{row['ratio']:.3f}") for side, row in figures["sides"].items()]
    return [*lines, *table(header, rows)]


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """A Markdown table."""
    lines = ["| " + " | ".join(map(str, cells)) + " |" for cells in (header, *rows)]
    return [lines[0], "|" + " --- |" * len(header), *lines[1:]]


def _words(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
