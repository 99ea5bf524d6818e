"""Records of ranked classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from vjo_train.runs.average_precision import resampled_average_precision
from vjo_train.runs.records.base import Doubles, Figures, Flags, Floats, Integers, Records, mean_over_classes


@dataclass(frozen=True)
class Scores(Records):
    """Multi-label classification: every image's scores and labels.

    Attributes:
        scores: [I, C].
        labels: [I, C]: 1 present, -1 absent, 0 counts neither way.
    """

    kind: ClassVar[str] = "scores"
    measure: ClassVar[str] = "least score of a class that is present minus the greatest of one that is absent (−1 to 1)"
    scores: Floats
    labels: Integers

    def resampled(self, draws: Integers) -> Figures:
        """`map` and `map_voc07` on samples of the images, given how often each is drawn, [R, I]."""
        aps: dict[str, list[Doubles]] = {"map": [], "map_voc07": []}
        for c in range(self.scores.shape[1]):
            hits, image = self.ranked(c)
            positives = (self.labels[:, c] > 0).astype(np.int64)
            aps["map"].append(resampled_average_precision(hits, image, positives, draws, "area"))
            aps["map_voc07"].append(resampled_average_precision(hits, image, positives, draws, "11point"))
        return {name: mean_over_classes(values) for name, values in aps.items()}

    def ranked(self, c: int) -> tuple[Flags, Integers]:
        """Of class `c`, best score first: which images show it, and their numbers; those of label 0 left out."""
        order = np.argsort(-self.scores[:, c], kind="stable")
        order = order[self.labels[order, c] != 0]
        return self.labels[order, c] > 0, order

    def positives(self, c: int) -> int:
        """How many images show class `c`."""
        return int((self.labels[:, c] > 0).sum())

    def quality(self) -> Doubles:
        """Above 0, all classes that are present rank before all that are absent; NaN where no class is present."""
        present = np.where(self.labels > 0, self.scores, 1.0).min(axis=1)
        absent = np.where(self.labels < 0, self.scores, 0.0).max(axis=1)
        shown = (self.labels > 0).any(axis=1)
        return np.where(shown, present.astype(np.float64) - absent, np.nan)

    def contents(self) -> Doubles:
        """Classes that are present."""
        return np.asarray((self.labels > 0).sum(axis=1), np.float64)
