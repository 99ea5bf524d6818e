"""How far two programs' outputs are apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vjo_train.inference.compare_outputs import difference, map_difference, object_difference

Objects = dict[str, np.ndarray[Any, Any]]


def test_difference_is_relative_to_large_figures_and_minds_nan() -> None:
    wanted = np.array([1.0, -200.0, np.inf])
    assert difference(wanted, wanted) == 0
    assert difference(wanted, np.array([1.0, -198.0, np.inf])) == pytest.approx(0.01)
    assert difference(np.array([0.1]), np.array([0.3])) == pytest.approx(0.2)
    assert difference(wanted, np.array([1.0, -200.0, 3.0])) == np.inf
    assert difference(np.array([1.0]), np.array([np.nan])) == np.inf
    assert difference(np.zeros(2), np.zeros(3)) == np.inf


def test_maps_differ_by_pixels() -> None:
    one = np.zeros((2, 4, 5), np.uint8)
    other = one.copy()
    other[1, 2, 3] = 9
    assert map_difference(one, other) == pytest.approx(1 / 40)
    assert map_difference(one, one[:1]) == np.inf


def objects(count: int, padded: int = 0) -> Objects:
    """One image with `count` objects, and rows for more."""
    generator = np.random.default_rng(count)
    corner = generator.uniform(0, 50, (1, count + padded, 2))
    made = {
        "boxes": np.concatenate([corner, corner + generator.uniform(5, 50, corner.shape)], axis=2),
        "scores": generator.uniform(0.1, 1, (1, count + padded)),
        "labels": generator.integers(0, 3, (1, count + padded)),
        "masks": generator.uniform(0, 1, (1, count + padded, 2, 2)),
    }
    made["labels"][:, count:] = -1
    return made


def changed(given: Objects, name: str, place: int, by: float) -> Objects:
    value = given[name].copy()
    value[0, place] += by
    return given | {name: value}


def test_objects_agree_in_any_order_and_whatever_stands_behind_them() -> None:
    one = objects(20, padded=5)
    order = np.random.default_rng(0).permutation(25)
    other = {name: value[:, order] for name, value in one.items()}
    assert object_difference(one, other) == 0
    assert object_difference(one, {name: value[:, :20] for name, value in one.items()}) == 0
    assert object_difference(objects(0), objects(0)) == 0


@pytest.mark.parametrize("name", ["boxes", "scores", "masks"])
def test_the_distance_of_objects(name: str) -> None:
    one = objects(3)
    by = 0.01 if name != "boxes" else 0.01 * one["boxes"].max()
    assert object_difference(one, changed(one, name, 1, by)) == pytest.approx(0.01)
    assert object_difference(one, changed(one, name, 1, np.nan)) == np.inf


def test_an_object_that_has_no_counterpart_differs_unless_it_is_one_of_very_many() -> None:
    few, many = objects(10), objects(300)
    without = {name: value[:, :-1] for name, value in few.items()}
    assert object_difference(few, without) > 0.01, "another object is the nearest one"
    assert object_difference(without, few) > 0.01
    assert object_difference(few, changed(few, "labels", 0, 5)) == np.inf
    assert object_difference(many, {name: value[:, :-1] for name, value in many.items()}) == 0
    assert object_difference(many, {name: value[:, :-30] for name, value in many.items()}) > 0.01
