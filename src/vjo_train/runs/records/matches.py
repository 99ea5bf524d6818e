"""Records of detections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np

from vjo_train.runs.average_precision import Interpolation, average_precision, resampled_average_precision
from vjo_train.runs.records.base import Doubles, Figures, Flags, Floats, Integers, Records, mean_over_classes


@dataclass(frozen=True)
class Matches(Records):
    """Detection by boxes or masks: every detection with its verdict, ordered by class, then score, then arrival.

    Attributes:
        image: [N] the image of each detection.
        label: [N] its class, 0..C-1.
        score: [N].
        hits: [S, N] whether it is right, in each of S settings.
        counted: [S, N] whether it counts at all: those that find a difficult object do not.
        objects: [I, C] objects by image and class, without difficult ones.
        metrics: [S] the metric that each setting gives, such as `map_voc07`; one that several give is their mean.
        interpolations: [S] how each turns the curve into a number.
    """

    kind: ClassVar[str] = "matches"
    measure: ClassVar[str] = "AP of the image's own detections, all classes together (0 to 1)"
    image: Integers
    label: Integers
    score: Floats
    hits: Flags
    counted: Flags
    objects: Integers
    metrics: Sequence[str]
    interpolations: Sequence[Interpolation]

    def resampled(self, draws: Integers) -> Figures:
        """Every setting's mean AP on samples of the images, given how often each is drawn, [R, I]."""
        figures: dict[str, list[Doubles]] = {}
        for setting, (metric, interpolation) in enumerate(zip(self.metrics, self.interpolations, strict=True)):
            aps = []
            for c in range(self.objects.shape[1]):
                hits, image = self.ranked(c, setting)
                aps.append(resampled_average_precision(hits, image, self.objects[:, c], draws, interpolation))
            figures.setdefault(str(metric), []).append(mean_over_classes(aps))
        return {metric: np.mean(values, axis=0) for metric, values in figures.items()}

    def ranked(self, c: int, setting: int = 0) -> tuple[Flags, Integers]:
        """Of class `c`, best score first: which detections are right, and their images; only those that count."""
        rows = slice(*np.searchsorted(self.label, [c, c + 1]))
        counted = self.counted[setting, rows]
        return self.hits[setting, rows][counted], self.image[rows][counted]

    def positives(self, c: int) -> int:
        """How many objects of class `c` there are to find."""
        return int(self.objects[:, c].sum())

    def quality(self) -> Doubles:
        """AP by area of each image's detections, in the first setting; NaN for an image without objects that count."""
        order = np.lexsort((-self.score, self.image))
        order = order[self.counted[0][order]]
        hits, positives = self.hits[0][order], self.objects.sum(axis=1)
        ends = np.searchsorted(self.image[order], np.arange(len(positives) + 1))
        parts = zip(pairwise(ends), positives, strict=True)
        return np.array([average_precision(hits[first:end], int(n), "area") for (first, end), n in parts])

    def contents(self) -> Doubles:
        """Objects that count."""
        return np.asarray(self.objects.sum(axis=1), np.float64)
