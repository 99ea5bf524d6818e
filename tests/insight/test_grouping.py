"""Groupings of tasks: against brute force, and at their ends."""

from __future__ import annotations

import random
from itertools import product
from statistics import fmean

import pytest

from vjo_train.errors import ConfigError
from vjo_train.insight.grouping import Groups, best_grouping, branches, finer, gain, groupings, of_heads, score

BELL = [1, 1, 2, 5, 15, 52, 203, 877, 4140]


def some_gains(tasks: str, seed: int) -> dict[tuple[str, str], float]:
    draws = random.Random(seed)
    return {(i, j): draws.uniform(-1, 1) for i in tasks for j in tasks if i != j}


def brute_force(gains: dict[tuple[str, str], float], tasks: str, most: int) -> float:
    """The greatest mean gain over every way to number the tasks by their network."""
    best = float("-inf")
    for numbers in product(range(most), repeat=len(tasks)):
        total = []
        for task, number in zip(tasks, numbers, strict=True):
            others = [o for o, n in zip(tasks, numbers, strict=True) if n == number and o != task]
            total.append(fmean(gains[o, task] for o in others) if others else 0.0)
        best = max(best, fmean(total))
    return best


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("most", [1, 2, 3, 5])
def test_the_best_grouping_is_that_of_brute_force(most: int, seed: int) -> None:
    gains = some_gains("abcde", seed)
    found = best_grouping(gains, "abcde", most)
    assert len(found) <= most
    assert sorted(task for group in found for task in group) == list("abcde")
    assert score(gains, found) == pytest.approx(brute_force(gains, "abcde", most))


@pytest.mark.parametrize("count", range(1, 9))
def test_there_are_as_many_groupings_as_bell_numbers(count: int) -> None:
    found = [frozenset(groups) for groups in groupings("abcdefgh"[:count], count)]
    assert len(found) == len(set(found)) == BELL[count]


def test_tasks_that_only_help_stay_together_and_those_that_harm_part() -> None:
    helpful = {(i, j): 0.1 for i in "abc" for j in "abc" if i != j}
    assert best_grouping(helpful, "abc", 3) == (("a", "b", "c"),)
    assert best_grouping({pair: -0.1 for pair in helpful}, "abc", 3) == (("a",), ("b",), ("c",))
    two = helpful | {(i, "c"): -0.5 for i in "ab"} | {("c", i): -0.5 for i in "ab"}
    assert best_grouping(two, "abc", 3) == (("a", "b"), ("c",))
    assert gain(two, "a", ("a", "b")) == pytest.approx(0.1)
    assert gain(two, "c", ("c",)) == 0


def test_a_tree_parts_further_and_never_joins() -> None:
    for seed in range(5):
        found: dict[str, Groups] = branches(some_gains("abcde", seed), "abcde", {"c4": 2, "c5": 3})
        assert finer(found["c5"], found["c4"])
        assert len(found["c4"]) <= 2
        assert len(found["c5"]) <= 3


def test_parts_of_a_head_s_loss_count_as_their_mean_and_gaps_are_left_out() -> None:
    names, gains = of_heads(["a/x", "a/y", "b"], [[1.0, 1.0, 0.2], [1.0, 1.0, 0.4], [None, 0.6, 1.0]])
    assert names == ("a", "b")
    assert gains == pytest.approx({("a", "b"): 0.3, ("b", "a"): 0.6})


def test_too_many_tasks_are_refused() -> None:
    with pytest.raises(ConfigError, match="found 11 tasks"):
        best_grouping({}, "abcdefghijk", 2)
