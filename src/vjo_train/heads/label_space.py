"""The class names of one head, and the way between them and those of the data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vjo_train.types import IGNORE


class _Tables(NamedTuple):
    """Where each class lies on the other side."""

    own: Tensor
    """[K]: the place of each of the head's classes among the data set's."""
    places: Tensor
    """[C]: the place of each of the data set's classes in the head, or -1."""
    to_own: Tensor
    """[256] uint8: an index of the data set's maps -> one of the head's."""
    to_known: Tensor
    """[256] uint8: the way back."""

    def to(self, device: torch.device) -> _Tables:
        return self if self.own.device == device else _Tables(*(table.to(device) for table in self))


class LabelSpace:
    """Some of a data set's classes, in an order of their own.

    Objects of other classes are not there for the head: they are background to a detector, and pixels of theirs are
    background to a segmentation head.

    Args:
        names: of the head, K of them; each one of `known`.
        known: of the data set, C of them.
    """

    def __init__(self, names: Sequence[str], known: Sequence[str]) -> None:
        self.names, self.known = tuple(names), tuple(known)
        numbers = [self.known.index(name) for name in self.names]
        self._own = np.array(numbers)
        own = torch.tensor(numbers)
        places = torch.full((len(self.known),), -1)
        places[own] = torch.arange(len(own))
        to_own = torch.zeros(256, dtype=torch.uint8)
        to_own[1 : len(places) + 1] = (places + 1).to(torch.uint8)
        to_known = torch.zeros(256, dtype=torch.uint8)
        to_known[1 : len(own) + 1] = (own + 1).to(torch.uint8)
        to_own[IGNORE] = to_known[IGNORE] = IGNORE
        self._tables = _Tables(own, places, to_own, to_known)

    @property
    def is_whole(self) -> bool:
        """Whether the head has the data set's classes as they are."""
        return self.names == self.known

    def flags(self, classes: Tensor) -> Tensor:
        """[C] of the data set's classes -> [K] of the head's."""
        return classes[self._on(classes.device).own]

    def looked_for(self, classes: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """As `flags`."""
        found: npt.NDArray[np.bool_] = classes[self._own]
        return found

    def places(self, labels: Tensor) -> Tensor:
        """[N] labels of the data set -> the head's, -1 for classes that it does not have."""
        return self._on(labels.device).places[labels]

    def map(self, indices: Tensor) -> Tensor:
        """A map [H, W] of 0 background, k + 1 class k, 255 ignored: in the head's classes."""
        return self._on(indices.device).to_own[indices.long()]

    def known_scores(self, scores: Tensor) -> Tensor:
        """[K] of the head's classes -> [C] of the data set's, NaN for classes that the head does not have."""
        known = scores.new_full((len(self.known),), torch.nan)
        known[self._on(scores.device).own] = scores
        return known

    def known_labels(self, labels: Tensor) -> Tensor:
        """[N] labels of the head -> the data set's."""
        return self._on(labels.device).own[labels]

    def known_map(self, indices: Tensor) -> Tensor:
        """The inverse of `map`."""
        return self._on(indices.device).to_known[indices.long()]

    def _on(self, device: torch.device) -> _Tables:
        self._tables = self._tables.to(device)
        return self._tables
