"""Test figures of each data set of a mixture are those of its images alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vjo_train.runs.records import Scores, TaskRecords
from vjo_train.training.part_figures import part_figures

NAMES = {"test/classification/map"}


def records(ids: list[str], seed: int) -> TaskRecords:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 5, (len(ids), 3)).astype(np.float32)
    labels = rng.integers(-1, 2, (len(ids), 3)).astype(np.int8)
    return TaskRecords(tuple(ids), Scores(scores, labels))


@given(st.lists(st.sampled_from("ab"), min_size=2, max_size=12), st.integers(0, 99))
def test_figures_of_a_part_are_those_of_its_images_alone(owners: list[str], seed: int) -> None:
    ids = [f"{part}/{number}" for number, part in enumerate(owners)]
    whole = records(ids, seed)
    found = part_figures({"classification": whole}, lambda name: name[0], NAMES)
    if len(set(owners)) == 1:
        assert found == {}
        return
    assert set(found) == set(owners)
    for part, figures in found.items():
        own = np.array([owner == part for owner in owners])
        alone = Scores(whole.records.scores[own], whole.records.labels[own])  # type: ignore[attr-defined]
        wanted = alone.resampled(np.ones((1, int(own.sum())), np.int64))["map"][0]
        assert figures["test/classification/map"] == pytest.approx(wanted, nan_ok=True)
        assert figures["test/classification/images"] == own.sum()
        assert set(figures) == {*NAMES, "test/classification/images"}
