"""Which tasks are on at which step."""

from __future__ import annotations

import pytest

from vjo_train.errors import ConfigError
from vjo_train.schedules.alternating import Alternating
from vjo_train.schedules.joint import Joint

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
