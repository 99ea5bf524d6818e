"""Records of panoptic segmentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from vjo_train.runs.records.base import Doubles, Figures, Flags, Floats, Integers, Records


@dataclass(frozen=True)
class Segments(Records):
    """Panoptic quality: every image's matched segments by class, what was found wrongly, and what was missed.

    Attributes:
        iou: [I, C] the sum of the IoU of matched segments.
        matched: [I, C].
        wrong: [I, C] segments that were found and match none.
        missed: [I, C] segments that nothing matches.
        things: [C] whether a class is one of objects.
    """

    kind: ClassVar[str] = "segments"
    measure: ClassVar[str] = "panoptic quality of the image, all classes together (0 to 1)"
    iou: Floats
    matched: Integers
    wrong: Integers
    missed: Integers
    things: Flags

    def resampled(self, draws: Integers) -> Figures:
        """`pq`, `sq`, `rq`, `pq_things`, `pq_stuff`."""
        drawn = draws.astype(np.float64)
        iou, matched, wrong, missed = (drawn @ values.astype(np.float64) for values in self._counts())
        seen = matched + wrong + missed > 0
        sq = iou / np.maximum(matched, 1)
        rq = matched / np.maximum(matched + wrong / 2 + missed / 2, 0.5)
        pq, things = sq * rq, self.things.astype(np.bool_)
        values = (("pq", pq, seen), ("sq", sq, seen), ("rq", rq, seen))
        parts = (("pq_things", pq, seen & things), ("pq_stuff", pq, seen & ~things))
        return {name: _mean(figure, of) for name, figure, of in (*values, *parts)}

    def quality(self) -> Doubles:
        iou, matched, wrong, missed = (values.astype(np.float64).sum(axis=1) for values in self._counts())
        total = matched + wrong / 2 + missed / 2
        return np.where(total > 0, iou / np.maximum(total, 0.5), np.nan)

    def contents(self) -> Doubles:
        """Segments that are there."""
        segments: Doubles = (self.matched + self.missed).sum(axis=1).astype(np.float64)
        return segments

    def _counts(self) -> tuple[Floats, Integers, Integers, Integers]:
        return self.iou, self.matched, self.wrong, self.missed


def _mean(values: Doubles, of: Flags) -> Doubles:
    """[R] the mean of [R, C] over the classes that count; NaN of none."""
    number = of.sum(axis=1)
    mean: Doubles = np.where(number > 0, np.where(of, values, 0.0).sum(axis=1) / np.maximum(number, 1), np.nan)
    return mean
