"""The section of a run's page on what each task got of the training."""

from __future__ import annotations

from vjo_train.diagnosis.rules import describe
from vjo_train.diagnosis.signs import read_signs
from vjo_train.pages.blocks import Note, Section
from vjo_train.pages.folder import RunFolder

INTRO = "Of the gradients of all tasks in the shared layers, weights counted in; means over training."


def shares(run: RunFolder) -> Section | None:
    """A sentence per task; None for one task alone, or where gradients were not looked at."""
    found = sentences(run)
    return Section("What each task got", [Note(text) for text in found], INTRO) if found else None


def sentences(run: RunFolder) -> list[str]:
    """The same as text, in the order of the heads."""
    if len(run.tasks) < 2:
        return []
    signs = read_signs([run.history], run.tasks)
    return [text for task in run.tasks if (text := describe(task, signs[task]))]
