"""The contract of a way of sharing."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from vjo_train.sharing.features import SharedFeatures


class Sharing(nn.Module):
    """Owns backbone and neck, and decides which features each task's head sees.

    Attributes:
        tasks_meet: whether the gradients of several tasks meet at `SharedFeatures.representation`. Where each task has
            tensors of its own there, `weighting.at=features` has nothing to compare, and is refused.
    """

    tasks_meet: bool = True

    @abstractmethod
    def forward(self, images: Tensor, tasks: Sequence[str]) -> SharedFeatures:
        """Normalised images [B, 3, S, S] -> the features of each of `tasks`."""

    def start_step(self, progress: float) -> None:
        """Called before each training batch with the share of training done, 0 <= progress <= 1; does nothing here.

        What depends on it must depend on nothing else that changes, so that a resumed run is exact.
        """

    def observe(self, statistics: Mapping[str, Tensor]) -> None:
        """Called once for each training batch with `SharedFeatures.statistics` as means over the global batch.

        Forwards beside training never come here. What is kept belongs into buffers, and may move only in `start_step`
        of a later share of training, so that all batches that are accumulated into one step see the same. Does nothing
        here.
        """

    @property
    def columns_from(self) -> Mapping[str, str]:
        """Task -> the folder of a run that trained it alone, whose network fills `column(task)`; none here."""
        return {}

    def column(self, task: str) -> dict[str, nn.Module]:
        """What belongs to one task alone and a single task's hard sharing would hold too, by its name there."""
        raise NotImplementedError

    def hard_name(self, name: str) -> str:
        """The name under hard sharing, such as `backbone.x`, of a parameter of this one that is a copy of it."""
        return name

    @abstractmethod
    def shared_parameters(self) -> list[nn.Parameter]:
        """What more than one task trains, frozen parameters left out."""
