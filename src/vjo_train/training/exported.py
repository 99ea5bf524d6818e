"""The test of a network that is not PyTorch's: an exported file in the place of backbone, neck and sharing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vjo_train.heads.base import Head
from vjo_train.heads.merged import Merged
from vjo_train.training.evaluation import Evaluation
from vjo_train.types import Batch


class ExportedModule(Evaluation):
    """Metrics of predictions that come from elsewhere.

    Args:
        heads: task -> head, for its metrics and drawings; its weights play no part.
        merged: what is made of their predictions.
        network: a batch -> task -> one prediction per image, in the head's own classes.
        size: parameters of the network that was exported; 0: not known.
    """

    def __init__(
        self,
        heads: Mapping[str, Head],
        merged: Mapping[str, Merged],
        network: Callable[[Batch], Mapping[str, list[Any]]],
        size: int,
    ) -> None:
        super().__init__(heads)
        self.merged = dict(merged)
        self._network, self._size = network, size

    @property
    def size(self) -> int:
        return self._size

    def replace(self, network: Callable[[Batch], Mapping[str, list[Any]]]) -> None:
        """Takes predictions from another network."""
        self._network = network

    def found(self, batch: Batch) -> Mapping[str, list[Any]]:
        return self._network(batch)
