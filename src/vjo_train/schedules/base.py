"""The contract of a schedule."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence


class Schedule(ABC):
    """Says which tasks are trained at a step: a pure function of the step, so that a resumed run agrees.

    Args:
        tasks: the names of all heads, in the order of the config.
    """

    def __init__(self, *, tasks: Sequence[str]) -> None:
        self.all_tasks = tuple(tasks)

    def set_counts(self, labelled: Mapping[str, int]) -> None:  # noqa: B027 (most schedules do not ask)
        """Tells, before the first step, how many images of the training split are labelled for each task."""

    @abstractmethod
    def tasks(self, step: int, epoch: int) -> tuple[str, ...]:
        """The tasks that are on at batch `step` (counted from the start of training) of `epoch`; never empty."""
