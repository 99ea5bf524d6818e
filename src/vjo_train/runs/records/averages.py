"""Records of figures that are means over the images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from vjo_train.runs.records.base import Doubles, Figures, Floats, Integers, Records


@dataclass(frozen=True)
class Averages(Records):
    """Depth, normals and the like: every image's own figures.

    Attributes:
        values: [I, M].
        metrics: [M] the metric that the mean of each column is; the first one stands for the task.
    """

    kind: ClassVar[str] = "averages"
    measure: ClassVar[str] = "the figure of the image that stands for the task"
    values: Floats
    metrics: Sequence[str]

    def resampled(self, draws: Integers) -> Figures:
        means = draws @ self.values.astype(np.float64) / draws.sum(axis=1, keepdims=True)
        return {str(metric): means[:, place] for place, metric in enumerate(self.metrics)}

    def quality(self) -> Doubles:
        """The image's first figure."""
        return self.values[:, 0].astype(np.float64)

    def contents(self) -> Doubles:
        """1: every image that was tested has something to be right about."""
        return np.ones(len(self.values))
