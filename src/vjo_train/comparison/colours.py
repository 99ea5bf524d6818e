"""One colour for each method, the same in every chart; grey for the single-task runs."""

from __future__ import annotations

from collections.abc import Sequence

from vjo_train.comparison.summary import SINGLE, Comparison
from vjo_train.pages.blocks import Key

GREY = 6


def style(comparison: Comparison, label: str) -> int:
    """The number of a method's colour."""
    return number(list(comparison.methods), label)


def number(methods: Sequence[str], label: str) -> int:
    """The number of the colour of one of `methods`, or of the single-task runs."""
    if label == SINGLE:
        return GREY
    place = methods.index(label)
    return place if place < GREY else place + 1


def legend(comparison: Comparison, labels: Sequence[str]) -> list[Key]:
    """The legend for those of `labels` that are drawn."""
    return [Key(label, style(comparison, label)) for label in labels]
