"""Which tasks are on at which step."""

from __future__ import annotations

from collections import Counter

import pytest

from vjo_train.errors import ConfigError
from vjo_train.schedules.alternating import Alternating
from vjo_train.schedules.joint import Joint
from vjo_train.schedules.proportional import Proportional

TASKS = ("classification", "detection")


def test_joint_trains_all_tasks_at_each_step() -> None:
    assert {Joint(tasks=TASKS).tasks(step, step // 3) for step in range(7)} == {TASKS}


def test_alternating_by_step_follows_the_rounds() -> None:
    schedule = Alternating(tasks=TASKS, rounds={"classification": 2, "detection": 1})
    assert [schedule.tasks(step, 0)[0][0] for step in range(6)] == list("ccdccd")


def test_alternating_by_epoch_keeps_a_task_for_an_epoch() -> None:
    schedule = Alternating(tasks=TASKS, by="epoch")
    assert [schedule.tasks(step, step // 2)[0][0] for step in range(6)] == list("ccddcc")


def test_without_rounds_each_task_has_one_turn_in_the_order_of_the_heads() -> None:
    assert [Alternating(tasks=TASKS).tasks(step, 0) for step in range(2)] == [("classification",), ("detection",)]


@pytest.mark.parametrize("rounds", [{"classification": 1}, {"classification": 1, "detection": 0}, {"x": 1}])
def test_wrong_rounds_are_refused(rounds: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=r"schedule.rounds"):
        Alternating(tasks=TASKS, rounds=rounds)


def proportional(seed: int = 1, **labelled: int) -> Proportional:
    schedule = Proportional(tasks=tuple(labelled), seed=seed)
    schedule.set_counts(labelled)
    return schedule


def test_proportional_draws_each_task_by_its_labelled_images() -> None:
    schedule = proportional(classification=5011, detection=5011, semantic=422)
    counts = Counter(schedule.tasks(step, 0) for step in range(4000))
    for task, images in (("classification", 5011), ("detection", 5011), ("semantic", 422)):
        share = images / 10444
        assert abs(counts[(task,)] - 4000 * share) < 4 * (4000 * share * (1 - share)) ** 0.5


def test_proportional_is_a_function_of_seed_and_step() -> None:
    steps = range(60)
    drawn = [proportional(a=2, b=3).tasks(step, 0) for step in steps]
    again = proportional(a=2, b=3)
    assert [again.tasks(step, 7) for step in reversed(steps)] == drawn[::-1]
    assert [proportional(2, a=2, b=3).tasks(step, 0) for step in steps] != drawn


def test_proportional_never_draws_a_task_out_of_its_share() -> None:
    assert {proportional(a=1).tasks(step, 0) for step in range(9)} == {("a",)}
    assert {proportional(a=1, b=10**6).tasks(step, 0) for step in range(50)} == {("b",)}
