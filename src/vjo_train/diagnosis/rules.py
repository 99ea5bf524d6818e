"""One sentence per task: what the log shows of why it gained or lost, and which lever to try."""

from __future__ import annotations

import math
from collections.abc import Mapping

from vjo_train.diagnosis.signs import Signs

LOST = -0.5
"""Gain in percent over the task alone below which a task has lost."""
GAINED = 0.5
"""Gain in percent above which it has gained."""
STARVED = 0.5
"""A share of the gradient below this part of an even share is small."""
CLIPPED = 0.2
"""A share of clipped steps above this is large."""
OPPOSED = -0.1
"""A mean cosine below this is a conflict."""
SLOWER = 1.05
"""A loss this many times that of the task alone is clearly higher."""


def explain(task: str, signs: Signs, gain: float, alone: Signs | None) -> str:
    """The sentence on a task of a joint run that can be compared with the task alone.

    The causes are looked for in a fixed order: clipping, a small share of the gradient, conflict, a training loss above
    that of the task alone (it is learned less), a validation loss above it (it carries over less). The first that the
    log shows is said; where it shows none, that is said.

    Args:
        task: its name.
        signs: of the joint run.
        gain: over the task alone, in percent.
        alone: the signs of the task alone; None where its log is not there.
    """
    if math.isnan(gain):
        return f"{task}: the gain is not known."
    said = f"{task}: {gain:+.1f} %"
    if gain > GAINED:
        return f"{said}, it gains."
    if gain >= LOST:
        return f"{said}, no difference to speak of."
    cause = _clipped(signs) or _starved(task, signs) or _opposed(signs) or _fit(signs, alone)
    return f"{said}, it loses. {cause or 'The log shows no cause; try weighting=balanced or sharing=adapters.'}"


def describe(task: str, signs: Signs) -> str:
    """The sentence on a task of a joint run with nothing to compare it with; empty where the log shows nothing."""
    if task not in signs.shares:
        return ""
    cause = _clipped(signs) or _opposed(signs)
    got = _starved(task, signs) or f"It got {signs.shares[task]:.0%} of the shared gradient."
    return f"{task}: {got[3:]}" + (f" {cause}" if cause else "")


def _clipped(signs: Signs) -> str:
    if not signs.clipped > CLIPPED:
        return ""
    return f"{signs.clipped:.0%} of its steps were clipped: try a higher trainer.gradient_clip_val, or null."


def _starved(task: str, signs: Signs) -> str:
    share, others = signs.shares.get(task, math.nan), _others(signs.shares, task)
    if not others or not share < STARVED / len(signs.shares):
        return ""
    greatest = max(others, key=others.__getitem__)
    return f"It got {share:.0%} of the shared gradient, {greatest} {others[greatest]:.0%}: try weighting=balanced."


def _opposed(signs: Signs) -> str:
    if not signs.cosines:
        return ""
    worst = min(signs.cosines, key=signs.cosines.__getitem__)
    if not signs.cosines[worst] < OPPOSED:
        return ""
    return (
        f"Its gradient points against that of {worst} (cosine {signs.cosines[worst]:.2f}): try weighting=aligned, or "
        "sharing=adapters."
    )


def _fit(signs: Signs, alone: Signs | None) -> str:
    if alone is None:
        return ""
    trained, carried = signs.train_loss / alone.train_loss, signs.val_loss / alone.val_loss
    if trained > SLOWER:
        return (
            f"It is learned less than alone (training loss {trained:.2f} times as high): try more "
            "trainer.max_epochs for all, a larger network, or weighting=fixed with more for it."
        )
    if carried > SLOWER:
        return (
            f"It is learned as well as alone, but carries over less (validation loss {carried:.2f} times as high): try "
            "more optimizer.weight_decay or stronger dataset.augment."
        )
    return ""


def _others(shares: Mapping[str, float], task: str) -> dict[str, float]:
    return {other: share for other, share in shares.items() if other != task}
