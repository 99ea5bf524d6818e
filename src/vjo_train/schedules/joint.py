"""All tasks at every step."""

from __future__ import annotations

from vjo_train.schedules.base import Schedule


class Joint(Schedule):
    """Every task is on at every step."""

    def tasks(self, step: int, epoch: int) -> tuple[str, ...]:
        return self.all_tasks
