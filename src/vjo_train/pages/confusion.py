"""The section on which classes were taken for which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vjo_train.pages.answers import class_names
from vjo_train.pages.blocks import Block, Section, Table
from vjo_train.pages.folder import RunFolder
from vjo_train.runs.records.base import Doubles

WHOLE = 16
"""Of up to so many classes the whole table is shown; of more, the pairs that are mixed up most."""
PAIRS = 20


def confusion(run: RunFolder) -> Section | None:
    """Truth against answers, for tasks whose answers are one class each."""
    blocks: list[Block] = []
    for task, known in run.records.items():
        counts = known.records.confusion()
        if counts is not None and counts.sum() > 0:
            names = class_names(run, task)
            names = ["background", *names] if len(counts) == len(names) + 1 else names
            names += [f"class {k}" for k in range(len(names), len(counts))]
            there = (counts.sum(axis=0) + counts.sum(axis=1)) > 0
            own = [name for name, shown in zip(names, there.tolist(), strict=False) if shown]
            blocks.append(_table(task, counts[there][:, there], own))
    intro = "Of what is truly of a class, the share that was taken for each class, in percent."
    return Section("Confusion", blocks, intro) if blocks else None


def shares(counts: Doubles) -> Doubles:
    """Each row over its sum; rows without anything are 0."""
    found: Doubles = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return found


def _table(task: str, counts: Doubles, names: Sequence[str]) -> Table:
    found = shares(counts)
    if len(names) <= WHOLE:
        rows = [[name, *(f"{100 * share:.0f}" for share in row)] for name, row in zip(names, found, strict=True)]
        signs = 2 * np.eye(len(names)) - 1  # what is right is a gain
        return Table(task, ["truth", *names], rows, shades=(signs * found).tolist())
    wrong = found - np.diag(found.diagonal())
    order = np.argsort(-wrong, axis=None, kind="stable")[:PAIRS]
    pairs = [divmod(int(place), len(names)) for place in order if wrong.flat[place] > 0]
    rows = [[names[truth], names[taken], f"{100 * wrong[truth, taken]:.0f}"] for truth, taken in pairs]
    return Table(f"{task}: the {len(rows)} pairs that are mixed up most", ["truth", "taken for", "%"], rows, left=2)
