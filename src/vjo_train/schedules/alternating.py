"""One task at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from vjo_train.errors import ConfigError
from vjo_train.schedules.base import Schedule


class Alternating(Schedule):
    """One task is on at a time, in turns of steps or epochs.

    The heads of the other tasks get no gradient at all (None, not zero), so momentum, Adam's moments and
    weight decay leave them as they are.

    Args:
        by: the unit of a turn, `step` or `epoch`.
        rounds: turns per round and task, such as `{classification: 2, detection: 1}`; tasks go in the order
            given. None: one turn each, in the order of the heads.

    Raises:
        ConfigError: a task of `rounds` has no head, a head is missing from `rounds`, or a count is below 1.
    """

    def __init__(
        self,
        *,
        tasks: Sequence[str],
        by: Literal["step", "epoch"] = "step",
        rounds: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__(tasks=tasks)
        rounds = dict(rounds) if rounds is not None else {task: 1 for task in tasks}
        if set(rounds) != set(tasks):
            raise ConfigError(f"schedule.rounds: found tasks {sorted(rounds)}; it must name each of {sorted(tasks)}.")
        for task, turns in rounds.items():
            if turns < 1:
                raise ConfigError(f"schedule.rounds.{task}: found {turns}; must be at least 1.")
        self.by = by
        self._cycle = tuple(task for task, turns in rounds.items() for _ in range(turns))

    def tasks(self, step: int, epoch: int) -> tuple[str, ...]:
        turn = step if self.by == "step" else epoch
        return (self._cycle[turn % len(self._cycle)],)
