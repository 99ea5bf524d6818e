"""Records of the one class of an image."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from vjo_train.runs.records.base import Doubles, Figures, Floats, Integers, Records, mean_over_classes


@dataclass(frozen=True)
class Choices(Records):
    """Single-label classification: every image's class and the likeliest ones.

    Attributes:
        truth: [I] in 0..C-1.
        found: [I, T]: the T likeliest classes, best first.
        probability: [I] of the true class.
        classes: [1]: C.
        confidence: [I] of the likeliest class; [0] in files of older versions.
    """

    kind: ClassVar[str] = "choices"
    measure: ClassVar[str] = "probability of the true class (0 to 1)"
    truth: Integers
    found: Integers
    probability: Floats
    classes: Integers
    confidence: Floats = field(default_factory=lambda: np.zeros(0, np.float32))

    def resampled(self, draws: Integers) -> Figures:
        """`top1`, `top5` where there are so many classes, and `balanced_accuracy`."""
        right, drawn = self.found == self.truth[:, None], draws.astype(np.float64)
        counts = drawn.sum(axis=1)
        figures = {"top1": drawn @ right[:, 0] / counts}
        if self.found.shape[1] == 5:
            figures["top5"] = drawn @ right.any(axis=1) / counts
        recalls = []
        for label in np.unique(self.truth):
            own = drawn * (self.truth == label)
            number = own.sum(axis=1)
            recalls.append(np.where(number > 0, own @ right[:, 0] / np.maximum(number, 1), np.nan))
        return figures | ({"balanced_accuracy": mean_over_classes(recalls)} if recalls else {})

    def quality(self) -> Doubles:
        return self.probability.astype(np.float64)

    def contents(self) -> Doubles:
        """1: every image has one class."""
        return np.ones(len(self.truth))

    def confusion(self) -> Doubles:
        """In images."""
        size = int(self.classes[0])
        cells = self.truth.astype(np.int64) * size + self.found[:, 0]
        return np.bincount(cells, minlength=size * size).astype(np.float64).reshape(size, size)
