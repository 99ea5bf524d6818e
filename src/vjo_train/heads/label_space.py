"""The class names of one head, and the way between them and those of the data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vjo_train.types import IGNORE, Detections, Target


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
        own = torch.tensor([self.known.index(name) for name in self.names])
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

    def view(self, target: Target) -> Target:
        """What is known of an image, in the head's classes."""
        if self.is_whole:
            return target
        tables = self._tables = self._tables.to(target.labels.device)
        places = tables.places[target.labels]
        kept = places >= 0
        return replace(
            target,
            classes=target.classes[tables.own],
            boxes=target.boxes[kept],
            labels=places[kept],
            difficult=target.difficult[kept],
            semantic=None if target.semantic is None else tables.to_own[target.semantic.long()],
            masks=None if target.masks is None else target.masks[kept],
        )

    def published(self, prediction: Any) -> Any:
        """A head's prediction for one image, in the data set's classes.

        Args:
            prediction: `Detections`; class scores [K], which become [C] with NaN for classes that the head does not
                have; or a map of classes [H, W] uint8.
        """
        if self.is_whole:
            return prediction
        if isinstance(prediction, Detections):
            tables = self._tables.to(prediction.labels.device)
            return replace(prediction, labels=tables.own[prediction.labels])
        if isinstance(prediction, Tensor) and prediction.ndim == 1:
            scores = prediction.new_full((len(self.known),), torch.nan)
            scores[self._tables.own.to(prediction.device)] = prediction
            return scores
        if isinstance(prediction, Tensor) and prediction.ndim == 2:
            return self._tables.to_known.to(prediction.device)[prediction.long()]
        return prediction
