"""MOTA and IDF1 against py-motmetrics, and by hand."""

from __future__ import annotations

from typing import Any

import motmetrics
import numpy as np
import pytest

from vjo_train.metrics.tracking import Counts, count, figures
from vjo_train.tracking.assignment import overlaps
from vjo_train.tracking.mot_files import Tracks


def tracks(
    rows: list[tuple[int, int, tuple[float, float, float, float]]], label: int = 0, counted: bool = True
) -> Tracks:
    """Rows of frame, identity, box."""
    return Tracks(
        np.array([row[0] for row in rows], np.int64),
        np.array([row[1] for row in rows], np.int64),
        np.array([row[2] for row in rows], np.float64).reshape(-1, 4),
        np.full(len(rows), label, np.int64),
        np.full(len(rows), counted, np.bool_),
    )


def joined(*parts: Tracks) -> Tracks:
    names = ("frames", "ids", "boxes", "labels", "counted")
    return Tracks(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def walk(rng: np.random.Generator, objects: int, frames: int) -> tuple[Tracks, Tracks]:
    """Objects that wander through each other, and a poor tracker: jitter, misses, swaps, boxes of nothing."""
    place = rng.uniform(0, 60, (objects, 2))
    names = np.arange(objects) + 101
    truth, result = [], []
    for frame in range(1, frames + 1):
        place += rng.normal(0, 3, place.shape)
        if rng.random() < 0.15:
            names[rng.choice(objects, 2, replace=False)] = names[rng.choice(objects, 2, replace=False)]
        taken: set[int] = set()
        for k in range(objects):
            if rng.random() < 0.9:
                truth.append((frame, k + 1, (*place[k], *(place[k] + 20))))
            if rng.random() < 0.8 and names[k] not in taken:
                taken.add(names[k])
                seen = place[k] + rng.normal(0, 3, 2)
                result.append((frame, int(names[k]), (*seen, *(seen + 20))))
        if rng.random() < 0.3:
            spot = rng.uniform(0, 60, 2)
            result.append((frame, 500 + frame, (*spot, *(spot + 20))))
    return tracks(truth), tracks(result)


def by_motmetrics(truth: Tracks, result: Tracks, frames: int) -> Any:
    accumulator = motmetrics.MOTAccumulator(auto_id=True)
    for frame in range(1, frames + 1):
        real, seen = truth.at(frame), result.at(frame)
        alike = overlaps(truth.boxes[real], result.boxes[seen])
        accumulator.update(truth.ids[real], result.ids[seen], np.where(alike >= 0.5, 1 - alike, np.nan))
    wanted = ["idf1", "mota", "motp", "num_switches", "num_misses", "num_false_positives", "precision", "recall"]
    return motmetrics.metrics.create().compute(accumulator, metrics=wanted, return_dataframe=False)


@pytest.mark.parametrize("seed", range(6))
def test_the_figures_are_those_of_motmetrics(seed: int) -> None:
    truth, result = walk(np.random.default_rng(seed), objects=6, frames=60)
    own, other = figures(count(truth, result, range(1, 61))), by_motmetrics(truth, result, 60)
    assert own["switches"] == other["num_switches"] > 0
    assert own["misses"] == other["num_misses"] > 0
    assert own["false_positives"] == other["num_false_positives"] > 0
    for name in ("idf1", "mota", "precision", "recall"):
        assert own[name] == pytest.approx(other[name], abs=1e-12), name
    assert own["motp"] == pytest.approx(1 - other["motp"], abs=1e-12)


def test_a_swap_halfway_halves_idf1_and_costs_two_switches() -> None:
    left, right = (0.0, 0.0, 10.0, 10.0), (50.0, 0.0, 60.0, 10.0)
    truth = tracks([(k, who, box) for k in range(1, 11) for who, box in ((1, left), (2, right))])
    result = tracks(
        [(k, who if k <= 5 else 3 - who, box) for k in range(1, 11) for who, box in ((1, left), (2, right))]
    )
    found = figures(count(truth, result, range(1, 11)))
    assert found["idf1"] == 0.5
    assert found["switches"] == 2
    assert found["mota"] == pytest.approx(1 - 2 / 20)


def test_classes_are_compared_apart_and_what_does_not_count_is_left_out() -> None:
    box, far = (0.0, 0.0, 10.0, 10.0), (50.0, 0.0, 60.0, 10.0)
    truth = joined(tracks([(1, 1, box)]), tracks([(1, 2, far)], label=7, counted=False))
    found = tracks([(1, 1, box), (1, 2, far)])
    assert figures(count(truth, found, [1]))["mota"] == 1
    other = tracks([(1, 1, box)], label=1)
    assert count(truth, other, [1]) == Counts(objects=1, found=1)
    assert figures(count(truth, other, [1]))["mota"] == -1


def test_without_objects_nothing_is_divided_by_nothing() -> None:
    assert figures(Counts())["idf1"] == 0
