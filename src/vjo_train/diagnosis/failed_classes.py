"""Classes whose figure is nearly zero, which a mean hides, and the likeliest reason that the data show."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeAlias

from vjo_train.diagnosis.levers import EPOCHS

NEARLY_ZERO = 0.02
"""A figure below this has failed."""
SMALL = 8.0
"""Objects whose median side is less, in pixels of the canvas, are too small to be told from what is around them."""
FEW = 20
"""Fewer objects (or images) of a class than this are few to learn from."""
PASSES = 10.0
"""A training that has seen every image of a task fewer times than this is short."""
NAMED = 5
"""So many classes are named in a sentence."""

Facts: TypeAlias = Mapping[str, float]
"""Of a class, as far as known: `images` that show it, `objects`, and the median `side` of these in canvas pixels."""


def failed_classes(
    task: str, metric: str, values: Mapping[str, float], facts: Mapping[str, Facts], passes: float
) -> list[str]:
    """A sentence for each reason why classes of a task are nearly zero; none where none is.

    Args:
        task: its name.
        metric: of the values, such as `iou`.
        values: class -> its figure in 0..1; NaN where the test shows none of it.
        facts: class -> what the training data show of it.
        passes: how often training has seen each of the task's images; NaN if unknown.
    """
    known = {name: value for name, value in values.items() if math.isfinite(value)}
    by_reason: dict[str, list[str]] = {}
    for name, value in known.items():
        if value < NEARLY_ZERO:
            reason = _reason(facts.get(name, {}), passes)
            by_reason.setdefault(reason[0], []).append(f"{name} ({value:.3f}{reason[1]})")
    return [
        f"{task}: {metric} is nearly zero for {_listed(found)} of {len(known)} classes. {reason}"
        for reason, found in by_reason.items()
    ]


def _reason(facts: Facts, passes: float) -> tuple[str, str]:
    """The first reason that holds, and what of it is the class's own."""
    number = facts.get("objects", facts.get("images", math.nan))
    what = "objects" if "objects" in facts else "images"
    if number == 0:
        return "No training image shows them: look at dataset.classes, and at the split.", ""
    if facts.get("side", math.nan) < SMALL:
        return (
            f"Their objects are less than {SMALL:g} pixels wide on the canvas: try a greater dataset.size.",
            f", median side {facts['side']:.1f} px",
        )
    if number < FEW:
        return (
            "There are few to learn from: label more, or try dataset.repeat_threshold=0.1.",
            f", {number:g} {what}",
        )
    if passes < PASSES:
        return f"Training saw each image {passes:.1f} times: try more {EPOCHS}.", ""
    return "The data show no reason; look at the pictures of the worst answers, and at optimizer.lr.", ""


def _listed(found: list[str]) -> str:
    rest = len(found) - NAMED
    return ", ".join(found[:NAMED]) + (f" and {rest} more," if rest > 0 else ",")
