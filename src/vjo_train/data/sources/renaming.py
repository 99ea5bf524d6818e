"""From the classes of one data set to those of a mixture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vjo_train.data.labels.keypoints import ObjectPoints
from vjo_train.types import IGNORE


class Renaming:
    """What becomes of labels whose classes have other numbers.

    Args:
        theirs: the P classes of the data set, as the mixture calls them; several may have one name.
        ours: the C classes of the mixture; theirs that are not among them are not there.
    """

    def __init__(self, theirs: Sequence[str], ours: Sequence[str]) -> None:
        numbers = {name: number for number, name in enumerate(ours)}
        self.places: npt.NDArray[np.int64] = np.array([numbers.get(name, -1) for name in theirs], np.int64)
        """[P]: the class in the mixture, or -1."""
        self.annotated: npt.NDArray[np.bool_] = np.zeros(len(ours), np.bool_)
        """[C]: which of the mixture's classes the data set annotates."""
        self.annotated[self.places[self.places >= 0]] = True

    def flags(self, raw: Tensor) -> Tensor:
        """[P] -> [C] int8 of the kind `classes`: 0 (unknown) for what the data set does not annotate."""
        found = torch.full((len(self.annotated),), -2, dtype=torch.int8)
        for place, flag in zip(self.places.tolist(), raw.tolist(), strict=True):
            if place >= 0:
                found[place] = max(int(found[place]), flag)  # of several classes in one, the surest
        return torch.where(found == -2, 0, found)

    def numbers(self, raw: Tensor) -> Tensor:
        """[P] -> [C] of the kind `numbers`: NaN for what the data set does not measure; of two in one name the last."""
        found = torch.full((len(self.annotated),), torch.nan)
        for place, value in zip(self.places.tolist(), raw.tolist(), strict=True):
            if place >= 0 and value == value:
                found[place] = value
        return found

    def map(self, raw: Tensor) -> Tensor:
        """A semantic map [H, W] uint8; classes that are not there become background."""
        table = torch.zeros(256, dtype=torch.uint8)
        table[1 : len(self.places) + 1] = torch.from_numpy(self.places + 1).to(torch.uint8)
        table[IGNORE] = IGNORE
        return table[raw.long()]

    def points(self, raw: ObjectPoints, labels: npt.NDArray[np.int64]) -> ObjectPoints:
        """The raw label of the kind `keypoints`, without the objects of classes that are not there; `labels` [N]."""
        return raw[self.places[labels] >= 0]

    def masks(self, raw: Tensor, labels: npt.NDArray[np.int64]) -> Tensor:
        """The raw label of the kind `masks`, without the objects of classes that are not there.

        Args:
            raw: a map [H, W] whose value k + 1 means object k, or [N, H, W] bool.
            labels: [N] of the data set.
        """
        kept = torch.from_numpy(self.places[labels] >= 0)
        if bool(kept.all()):
            return raw
        if raw.ndim == 3:
            return raw[kept]
        numbers = torch.where(kept, kept.cumsum(0), 0)
        table = torch.cat([torch.zeros(1, dtype=numbers.dtype), numbers])
        known = (raw.long() >= 0) & (raw.long() <= len(labels))
        return torch.where(known, table[raw.long().clamp(0, len(labels))], raw.long()).to(raw.dtype)
