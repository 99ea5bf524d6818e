"""The contract of a way of sharing."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn

from vjo_train.types import SharedFeatures


class Sharing(nn.Module):
    """Owns backbone and neck, and decides which features each task's head sees."""

    @abstractmethod
    def forward(self, images: Tensor, tasks: Sequence[str]) -> SharedFeatures:
        """Normalised images [B, 3, S, S] -> the features of each of `tasks`."""

    @abstractmethod
    def shared_parameters(self) -> list[nn.Parameter]:
        """What more than one task trains, frozen parameters left out."""
