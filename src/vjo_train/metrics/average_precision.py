"""The area under a precision-recall curve, in the two ways of PASCAL VOC."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

Interpolation: TypeAlias = Literal["11point", "area"]
"""`11point`: VOC 2007; `area`: VOC 2010 and later."""


def average_precision(hits: npt.NDArray[np.bool_], positives: int, interpolation: Interpolation) -> float:
    """The AP of one class.

    `11point` is the mean over r = 0, 0.1 .. 1 of the greatest precision at a recall of at least r (Everingham et al.
    2010). A recall is a quotient of counts, so it is compared as counts, 10 tp >= k positives: in floating point,
    recalls of 0.3, 0.6 and 0.7 may fall short of the thresholds that they equal.
    `area` is the area under the curve after each precision is raised to the greatest one at its right.

    Args:
        hits: [N] whether the n-th best answer is right; answers that count neither way are left out.
        positives: how many right answers there are.
        interpolation: how the curve is turned into one number.

    Returns:
        A number in 0..1; NaN without positives. 0 with positives but without answers: there the devkit's code gives
        NaN if answers were given but none of them counts, which says nothing better.
    """
    if positives == 0:
        return float("nan")
    found = np.cumsum(hits)
    precision = found / np.arange(1, len(hits) + 1)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    if interpolation == "area":
        return float(best_from_here[hits].sum() / positives)  # recall grows by 1 / positives at each hit
    first = np.searchsorted(10 * found, np.arange(11) * positives)  # the first row that reaches each recall
    return float(best_from_here[first[first < len(hits)]].sum() / 11)


def mean_over_defined(values: npt.NDArray[np.float64]) -> float:
    """The mean of what is not NaN; NaN if all is."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")


def check_interpolation(interpolation: str) -> None:
    """Raises ValueError unless `interpolation` is known."""
    if interpolation not in get_args(Interpolation):
        raise ValueError(f"`interpolation` should be one of {get_args(Interpolation)}. Found {interpolation!r}.")
