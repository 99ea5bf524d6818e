"""The section of a run's page on classes that a mean hides: those at nearly zero."""

from __future__ import annotations

import math

from vjo_train.diagnosis.failed_classes import failed_classes
from vjo_train.pages.answers import main_per_class
from vjo_train.pages.blocks import Note, Section
from vjo_train.pages.folder import RunFolder

INTRO = "Classes that the means hide, and the likeliest reason that the training data show."


def failures(run: RunFolder) -> Section | None:
    """A sentence for each task and reason; None where no class is at nearly zero."""
    found = failure_sentences(run)
    return Section("Classes at nearly zero", [Note(text, "warning") for text in found], INTRO) if found else None


def failure_sentences(run: RunFolder) -> list[str]:
    """The same as text."""
    results = run.results
    if results is None:
        return []
    said = []
    for task in dict.fromkeys(name.split("/")[1] for name in results.per_class):
        own = {n.rpartition("/")[2]: values for n, values in results.per_class.items() if n.split("/")[1] == task}
        main = main_per_class(results.monitors, task, list(own))
        passes = results.training.get(f"train/{task}/passes", math.nan)
        said += failed_classes(task, main, own[main], results.classes, passes)
    return said
