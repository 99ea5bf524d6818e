"""The contract of a task that is made of what several heads say: it has no layers and no loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

from vjo_train.drawing.sheet import Sheet
from vjo_train.errors import ConfigError
from vjo_train.heads.base import Head, TaskMetrics
from vjo_train.heads.task_files import TaskFiles


class Shows(Protocol):
    """What draws and writes the predictions of a task."""

    def draw(self, sheet: Sheet, prediction: Any, classes: Sequence[str]) -> None:
        """See `Head.draw`."""

    def write(self, files: TaskFiles, prediction: Any, classes: Sequence[str]) -> None:
        """See `Head.write`."""


class Merged(ABC):
    """A task that training does not know of: it is evaluated, drawn and written as those of heads are.

    Attributes:
        of: the heads whose predictions it is made of.
        monitor: the metric that stands for it; higher is better.
        reported: the metrics that the field reports of it, as `Head.reported`.
    """

    monitor: ClassVar[str]
    reported: ClassVar[Mapping[str, bool]] = {}
    of: tuple[str, ...]

    @abstractmethod
    def merge(self, predictions: Mapping[str, Any]) -> Any:
        """The prediction for one image.

        Args:
            predictions: head -> its prediction for the image, in the data set's classes (`Head.published`).
        """

    @abstractmethod
    def metrics(self) -> TaskMetrics:
        """A fresh collector for a validation or test pass; targets have the data set's classes."""

    @abstractmethod
    def draw(self, sheet: Sheet, prediction: Any, classes: Sequence[str]) -> None:
        """Puts a prediction for one image onto its drawn picture; see `Head.draw`."""

    @abstractmethod
    def write(self, files: TaskFiles, prediction: Any, classes: Sequence[str]) -> None:
        """Writes a prediction for one image; see `Head.write`."""


def with_merged(predictions: Mapping[str, Any], merged: Mapping[str, Merged]) -> dict[str, Any]:
    """Task -> prediction for one image, of the heads and of what is made of them."""
    return {**predictions, **{task: own.merge(predictions) for task, own in merged.items()}}


def possible(merged: Mapping[str, Merged], tasks: Iterable[str]) -> dict[str, Merged]:
    """Those that are made of some of the heads `tasks` alone."""
    known = set(tasks)
    return {name: own for name, own in merged.items() if known.issuperset(own.of)}


def head_of(heads: Mapping[str, Head], key: str, task: str, needed: str) -> Head:
    """The head that a merged task is made of.

    Args:
        heads: by task.
        key: of the config that names the head.
        task: its name.
        needed: the kind of label that it must need.

    Raises:
        ConfigError: there is no such head, or it is of another kind.
    """
    if task not in heads:
        raise ConfigError(f"{key}: found '{task}', which is no head; the heads are {', '.join(heads)}.")
    if needed not in heads[task].needs:
        raise ConfigError(f"{key}: found '{task}', a {type(heads[task]).__name__}, which learns no {needed}.")
    return heads[task]
