"""One sentence per task: what the log shows of why it gained or lost, and which lever to try."""

from __future__ import annotations

import math

from vjo_train.diagnosis.levers import ADAPTERS, ALIGNED, AUGMENT, BALANCED, CLIP, DECAY, EPOCHS, FIXED, advice
from vjo_train.diagnosis.signs import Signs, ratio

LOST = -0.5
"""Gain in percent over the task alone below which a task has lost."""
GAINED = 0.5
"""Gain in percent above which it has gained."""
STARVED = 0.5
"""A share of the gradient below this part of an even share is small."""
CLIPPED = 0.2
"""A share of clipped steps that is greater by more than this than that of the task alone is large."""
OPPOSED = -0.1
"""A mean cosine below this is a conflict."""
SLOWER = 1.05
"""A loss this many times that of the task alone is clearly higher."""
NO_LEVERS: frozenset[str] = frozenset()


def explain(
    task: str, signs: Signs, gain: float, alone: Signs | None, *, clear: bool = True, used: frozenset[str] = NO_LEVERS
) -> str:
    """The sentence on a task of a joint run that can be compared with the task alone.

    The causes are looked for in a fixed order: clipping, a small share of the gradient, conflict, a training loss above
    that of the task alone (it is learned less), a validation loss above it (it carries over less). The first that the
    log shows is said; where it shows none, that is said.

    Args:
        task: its name.
        signs: of the joint run.
        gain: over the task alone, in percent.
        alone: the signs of the task alone; None where its log is not there.
        clear: whether the gain is more than chance could make; else the task only may gain or lose.
        used: the choices that the run has made, which are not advised (see `levers.choices`).
    """
    if math.isnan(gain):
        return f"{task}: the gain is not known."
    said = f"{task}: {gain:+.1f} %"
    if LOST <= gain <= GAINED:
        return f"{said}, no difference to speak of."
    if gain > GAINED:
        return f"{said}, it {'gains' if clear else 'may gain'}."
    cause = _clipped(signs, alone) or _starved(task, signs, used) or _opposed(signs, used) or _fit(signs, alone)
    return f"{said}, it {'loses' if clear else 'may lose'}. {cause or _unknown(used)}"


def describe(task: str, signs: Signs, *, used: frozenset[str] = NO_LEVERS) -> str:
    """The sentence on a task of a joint run with nothing to compare it with; empty where the log shows nothing."""
    if task not in signs.shares:
        return ""
    share = _starved(task, signs, used) or f"It got {signs.shares[task]:.0%} of the shared gradient."
    return " ".join([f"{task}: {share.removeprefix('It ')}", _clipped(signs, None) or _opposed(signs, used)]).rstrip()


def _clipped(signs: Signs, alone: Signs | None) -> str:
    usual = 0.0 if alone is None or math.isnan(alone.clipped) else alone.clipped
    if not signs.clipped > usual + CLIPPED:
        return ""
    beside = f", {usual:.0%} alone" if usual else ""
    return f"{signs.clipped:.0%} of its steps were clipped{beside}: try a higher {CLIP}, or null."


def _starved(task: str, signs: Signs, used: frozenset[str]) -> str:
    share = signs.shares.get(task, math.nan)
    others = {other: part for other, part in signs.shares.items() if other != task}
    if not others or not share < STARVED / len(signs.shares):
        return ""
    greatest = max(others, key=others.__getitem__)
    lever = advice((BALANCED,), used) or f"try {FIXED} with more for it"
    return f"It got {share:.0%} of the shared gradient, {greatest} {others[greatest]:.0%}: {lever}."


def _opposed(signs: Signs, used: frozenset[str]) -> str:
    if not signs.cosines:
        return ""
    worst = min(signs.cosines, key=signs.cosines.__getitem__)
    if not signs.cosines[worst] < OPPOSED:
        return ""
    lever = advice((ALIGNED, ADAPTERS), used) or "try the tasks apart"
    return f"Its gradient points against that of {worst} (cosine {signs.cosines[worst]:.2f}): {lever}."


def _fit(signs: Signs, alone: Signs | None) -> str:
    if alone is None:
        return ""
    trained, carried = ratio(signs.train_loss, alone.train_loss), ratio(signs.val_loss, alone.val_loss)
    if trained > SLOWER:
        return (
            f"It is learned less than alone (training loss {trained:.2f} times as high): try more {EPOCHS} for all, "
            f"a larger network, or {FIXED} with more for it."
        )
    if trained <= SLOWER < carried:
        return (
            f"It is learned as well as alone, but carries over less (validation loss {carried:.2f} times as high): "
            f"try more {DECAY} or stronger {AUGMENT}."
        )
    return ""


def _unknown(used: frozenset[str]) -> str:
    lever = advice((BALANCED, ADAPTERS), used)
    return f"The log shows no cause; {lever}." if lever else "The log shows no cause."
