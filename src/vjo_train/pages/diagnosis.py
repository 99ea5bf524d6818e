"""The section of a run's page on what each task got of the training."""

from __future__ import annotations

import math

from vjo_train.diagnosis.gains import gain
from vjo_train.diagnosis.levers import choices
from vjo_train.diagnosis.rules import describe, explain
from vjo_train.diagnosis.signs import read_signs
from vjo_train.pages.blocks import Note, Section
from vjo_train.pages.folder import RunFolder
from vjo_train.report.text import figure

INTRO = "Of the gradients of all tasks in the shared layers, weights counted in; means over training."


def shares(run: RunFolder) -> Section | None:
    """A sentence per task; None for one task alone, or where gradients were not looked at."""
    found = sentences(run)
    return Section("What each task got", [Note(text) for text in found], INTRO) if found else None


def sentences(run: RunFolder) -> list[str]:
    """The same as text, in the order of the heads.

    Where the config holds a `reference`, a finished run is compared with it.
    """
    if len(run.tasks) < 2:
        return []
    signs, used = read_signs([run.history], run.trained), choices(run.config)
    known = {name.partition("/")[0]: name for name in run.config.get("reference") or {}}
    found = []
    for task in run.trained:
        if task in known and run.results is not None:
            alone = float(run.config["reference"][known[task]])
            mine = run.results.metrics.get(f"test/{known[task]}", math.nan)
            said = explain(task, signs[task], gain(mine, alone, known[task]), None, used=used)
            found.append(f"{said} ({known[task].partition('/')[2]} {figure(mine, 3)}, alone {alone:.3f})")
        elif text := describe(task, signs[task], used=used):
            found.append(text)
    return found
