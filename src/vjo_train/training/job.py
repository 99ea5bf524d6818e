"""What a test and a run are made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import Logger

from vjo_train.config.schema import TrainerConfig
from vjo_train.data.datamodule import DataModule
from vjo_train.insight.base import Insight
from vjo_train.training.evaluation import Evaluation
from vjo_train.training.module import MultiTaskModule


@dataclass(kw_only=True)
class Test:
    """All that a test needs, built and bound to each other."""

    module: Evaluation
    data: DataModule
    settings: TrainerConfig
    loggers: list[Logger]
    output: Path
    seed: int
    config: dict[str, Any]
    """The resolved config, for the results."""
    overrides: list[str]
    """What the command line changed."""
    arithmetic: str | None = None
    """What an exported file computes in; None: what `settings` say."""
    insights: list[Insight] = field(default_factory=list)
    """What is looked at besides, in training and in tests."""
    started: dict[str, Any] = field(default_factory=dict)
    """What was taken of `start_from`, for the results."""

    @property
    def trained(self) -> tuple[str, ...]:
        """The names of the losses that training shows."""
        return self.module.tasks

    def classes(self, task: str) -> tuple[str, ...]:
        """The names of a head's classes; a merged task has those of the data set."""
        space = None if task in self.module.merged else self.module.head(task).space
        return self.data.classes if space is None else space.names


@dataclass(kw_only=True)
class Job(Test):
    """All that a run needs."""

    module: MultiTaskModule
    callbacks: list[Callback] = field(default_factory=list)
    """Further callbacks for training."""

    @property
    def trained(self) -> tuple[str, ...]:
        return tuple(self.module.weighting.tasks)
