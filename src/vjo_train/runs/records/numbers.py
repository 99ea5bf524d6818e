"""Records of numbers that are predicted of a whole image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from vjo_train.runs.records.base import Doubles, Figures, Floats, Integers, Records, mean_over_classes


@dataclass(frozen=True)
class Numbers(Records):
    """Regression: what every image was truly and what was said of it.

    Attributes:
        truth: [I, V]; NaN where unknown.
        found: [I, V].
    """

    kind: ClassVar[str] = "numbers"
    measure: ClassVar[str] = "1 / (1 + mean error in standard deviations of the truth) (0 to 1)"
    truth: Floats
    found: Floats

    def resampled(self, draws: Integers) -> Figures:
        """`mae`, `rmse` and `r2`, means over the numbers."""
        drawn = draws.astype(np.float64)
        truth, errors = self._centred(), self._errors()
        columns: dict[str, list[Doubles]] = {"mae": [], "rmse": [], "r2": []}
        for own, error in zip(truth.T, errors.T, strict=True):
            known = ~np.isnan(own)
            some, true, wrong = drawn[:, known], own[known], error[known]
            count = np.maximum(some.sum(axis=1), 1e-12)
            squares = some @ wrong**2
            spread = some @ true**2 - (some @ true) ** 2 / count
            there = some.sum(axis=1) > 0
            columns["mae"].append(np.where(there, some @ np.abs(wrong) / count, np.nan))
            columns["rmse"].append(np.where(there, np.sqrt(squares / count), np.nan))
            varied = spread > 1e-12 * max(float(np.abs(true).max(initial=0)) ** 2, 1e-300)
            columns["r2"].append(np.where(varied, 1 - squares / np.where(varied, spread, 1), np.nan))
        return {name: mean_over_classes(values) for name, values in columns.items()}

    def quality(self) -> Doubles:
        counts = (~np.isnan(self.truth)).sum(axis=0)
        squares = np.nansum(self._centred() ** 2, axis=0)
        deviation = np.sqrt(squares / np.maximum(counts, 1))
        scaled = np.abs(self._errors()) / np.where(deviation > 0, deviation, 1)
        known = ~np.isnan(scaled)
        mean = np.nansum(scaled, axis=1) / np.maximum(known.sum(axis=1), 1)
        found: Doubles = np.where(known.any(axis=1), 1 / (1 + mean), np.nan)
        return found

    def contents(self) -> Doubles:
        """How many numbers are known."""
        counts: Doubles = (~np.isnan(self.truth)).sum(axis=1).astype(np.float64)
        return counts

    def _centred(self) -> Doubles:
        """The truth less its mean, so that squares keep their digits."""
        truth = self.truth.astype(np.float64)
        counts = np.maximum((~np.isnan(truth)).sum(axis=0), 1)
        centred: Doubles = truth - np.nansum(truth, axis=0) / counts
        return centred

    def _errors(self) -> Doubles:
        errors: Doubles = self.found.astype(np.float64) - self.truth.astype(np.float64)
        return errors
