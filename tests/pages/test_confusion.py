"""Which classes were taken for which."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from vjo_train.pages.blocks import Table
from vjo_train.pages.confusion import PAIRS, confusion
from vjo_train.runs.records import Choices, Pixels, Scores, TaskRecords


def run(records, classes):
    known = {"task": TaskRecords((), records)}
    return SimpleNamespace(records=known, config={"dataset": {"classes": classes}})


def choices(truth, found, classes):
    chosen = np.array(found)[:, None]
    return Choices(np.array(truth), chosen, np.ones(len(truth)), np.array([classes]))


def test_rows_are_shares_of_what_is_true() -> None:
    section = confusion(run(choices([0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 1, 0], 4), ["cat", "dog", "owl", "ape"]))
    assert section is not None
    (table,) = section.blocks
    assert isinstance(table, Table)
    assert table.header == ["truth", "cat", "dog"], "classes that are nowhere are left out"
    assert table.rows == [["cat", "75", "25"], ["dog", "50", "50"]]
    assert table.shades == [[0.75, -0.25], [-0.5, 0.5]]


def test_pixels_have_a_background() -> None:
    cells = {"truth": [0, 1, 1], "found": [0, 1, 0], "count": [9, 3, 1]}
    pixels = Pixels(np.zeros(3, int), *(np.array(values) for values in cells.values()), shape=np.array([1, 2]))
    section = confusion(run(pixels, ["cat"]))
    assert section is not None
    assert [row for block in section.blocks for row in block.rows] == [["background", "100", "0"], ["cat", "25", "75"]]


def test_of_many_classes_the_worst_pairs_are_listed() -> None:
    truth = np.arange(40)
    found = np.where(truth % 2, truth, (truth + 1) % 40)
    section = confusion(run(choices(truth, found, 40), [f"c{k}" for k in range(40)]))
    assert section is not None
    (table,) = section.blocks
    assert len(table.rows) == PAIRS
    assert list(table.rows[0]) == ["c0", "c1", "100"]


def test_ranked_answers_have_none() -> None:
    assert confusion(run(Scores(np.zeros((1, 2)), np.ones((1, 2))), ["a", "b"])) is None
