"""Learning-rate schedules: pure functions from the share of training that is done to a factor."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated

from annotated_types import Gt, Interval

from vjo_train.errors import ConfigError


class LRSchedule(ABC):
    """A factor on every group's learning rate, with a linear warm-up.

    Args:
        warmup: share of all steps over which the factor rises from 0 to the schedule's own.
    """

    def __init__(self, *, warmup: float) -> None:
        self.warmup = warmup

    def factor(self, step: int, total: int) -> float:
        """The factor for optimizer step `step` (from 0) of `total`."""
        warm = self.warmup * total
        rise = min(1.0, (step + 1) / warm) if warm >= 1 else 1.0
        return rise * self.shape(min(1.0, step / max(1, total)))

    @abstractmethod
    def shape(self, progress: float) -> float:
        """The factor after the share `progress` (0..1) of training, warm-up aside."""


class Cosine(LRSchedule):
    """Half a cosine from 1 to `final` (Loshchilov & Hutter 2017).

    Args:
        warmup: share of all steps with a rising learning rate.
        final: the factor at the end.
    """

    def __init__(
        self,
        *,
        warmup: Annotated[float, Interval(ge=0, lt=1)] = 0.05,
        final: Annotated[float, Interval(ge=0, le=1)] = 0.01,
    ) -> None:
        super().__init__(warmup=warmup)
        self.final = final

    def shape(self, progress: float) -> float:
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * progress)) / 2


class MultiStep(LRSchedule):
    """Multiplied by `gamma` at each milestone.

    Args:
        warmup: share of all steps with a rising learning rate.
        milestones: shares of training (0..1), rising.
        gamma: the factor at each milestone.

    Raises:
        ConfigError: the milestones do not rise or are not between 0 and 1.
    """

    def __init__(
        self,
        *,
        warmup: Annotated[float, Interval(ge=0, lt=1)] = 0.05,
        milestones: Sequence[float] = (0.67, 0.89),
        gamma: Annotated[float, Gt(0)] = 0.1,
    ) -> None:
        super().__init__(warmup=warmup)
        self.milestones, self.gamma = tuple(milestones), gamma
        if list(milestones) != sorted(milestones) or any(not 0 < m < 1 for m in milestones):
            raise ConfigError(
                f"lr_schedule.milestones: found {list(milestones)}; must be rising shares of training between 0 and 1."
            )

    def shape(self, progress: float) -> float:
        return float(self.gamma ** sum(progress >= m for m in self.milestones))


class Poly(LRSchedule):
    """(1 - share of training)^power (Chen et al. 2018, DeepLab).

    Args:
        warmup: share of all steps with a rising learning rate.
        power: above 0; 1 falls in a straight line.
    """

    def __init__(
        self, *, warmup: Annotated[float, Interval(ge=0, lt=1)] = 0.0, power: Annotated[float, Gt(0)] = 0.9
    ) -> None:
        super().__init__(warmup=warmup)
        self.power = power

    def shape(self, progress: float) -> float:
        return float((1 - progress) ** self.power)


class Constant(LRSchedule):
    """The same learning rate throughout, after the warm-up.

    Args:
        warmup: share of all steps with a rising learning rate.
    """

    def __init__(self, *, warmup: Annotated[float, Interval(ge=0, lt=1)] = 0.0) -> None:
        super().__init__(warmup=warmup)

    def shape(self, progress: float) -> float:
        return 1.0
