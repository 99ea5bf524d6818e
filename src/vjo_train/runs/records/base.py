"""What all records of a test have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

Flags: TypeAlias = npt.NDArray[np.bool_]
Floats: TypeAlias = npt.NDArray[np.floating]
Integers: TypeAlias = npt.NDArray[np.integer]
Doubles: TypeAlias = npt.NDArray[np.float64]
Figures: TypeAlias = dict[str, Doubles]
"""Metric -> [R], its value on each of R samples."""


class Records(ABC):
    """What a test kept of I images; see the classes of this folder.

    Attributes:
        kind: the name of the class in the file.
        measure: what `quality` says, in words.
    """

    kind: ClassVar[str]
    measure: ClassVar[str]

    @abstractmethod
    def resampled(self, draws: Integers) -> Figures:
        """The figures on samples of the images, given how often each is drawn, [R, I]."""

    @abstractmethod
    def quality(self) -> Doubles:
        """[I]: how well each image was answered; NaN where it has nothing to be right or wrong about."""

    def confusion(self) -> Doubles | None:
        """[K, K]: how much of what is truly of each class (rows) was taken for each class (columns).

        Of C + 1 classes, the first is the background. None where answers are not one class each.
        """
        return None

    @abstractmethod
    def contents(self) -> Doubles:
        """[I]: how much there is to be right about in each image."""


def mean_over_classes(values: Sequence[Doubles]) -> Doubles:
    """The mean over C arrays [R] of what is not NaN; NaN where all is."""
    table = np.stack(values)
    defined = ~np.isnan(table)
    number = defined.sum(axis=0)
    total = np.where(defined, table, 0.0).sum(axis=0)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)
