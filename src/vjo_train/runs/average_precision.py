"""The area under a precision-recall curve, in the two ways of PASCAL VOC and in COCO's."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

Interpolation: TypeAlias = Literal["11point", "area", "101point"]
"""`11point`: VOC 2007; `area`: VOC 2010 and later; `101point`: COCO."""

COCO_RECALLS: npt.NDArray[np.float64] = np.linspace(0, 1, 101)
"""As COCO's code has them: some lie a rounding above the quotient that they stand for, and are compared so."""

ELEMENTS_AT_ONCE = 1 << 21
"""How many weights of answers are looked at together."""


def average_precision(hits: npt.NDArray[np.bool_], positives: int, interpolation: Interpolation) -> float:
    """The AP of one class.

    `11point` is the mean over r = 0, 0.1 .. 1 of the greatest precision at a recall of at least r (Everingham et al.
    2010). A recall is a quotient of counts, so it is compared as counts, 10 tp >= k positives: in floating point,
    recalls of 0.3, 0.6 and 0.7 may fall short of the thresholds that they equal.
    `101point` is that mean over COCO's 101 recalls, compared as floating point numbers, as COCO's code does.
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
    places = np.flatnonzero(hits)  # precision only rises where an answer is right
    precision = np.arange(1, len(places) + 1) / (places + 1)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    if interpolation == "area":
        return float(best_from_here.sum() / positives)  # recall grows by 1 / positives at each hit
    if interpolation == "101point":
        at = np.searchsorted(np.arange(1, len(places) + 1) / positives, COCO_RECALLS, side="left")
        return float(best_from_here[at[at < len(places)]].sum() / len(COCO_RECALLS))
    needed = -(-np.arange(11) * positives // 10)  # the right answers that reach each recall
    first = np.maximum(needed, 1) - 1
    return float(best_from_here[first[first < len(places)]].sum() / 11)


def precision_recall(
    hits: npt.NDArray[np.bool_], positives: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The curve of one class: recall and precision [N] after each answer, best first.

    Args:
        hits: [N] whether the n-th best answer is right; answers that count neither way are left out.
        positives: how many right answers there are, above 0.
    """
    found = np.cumsum(hits)
    return found / positives, found / np.arange(1, len(hits) + 1)


def interpolated_precision(hits: npt.NDArray[np.bool_], positives: int, steps: int = 100) -> npt.NDArray[np.float64]:
    """[steps + 1]: the greatest precision at a recall of at least k / steps; 0 where that is never reached.

    With 10 steps these are the points whose mean is the AP of VOC 2007, with 100 those of COCO's. Recalls are
    compared as counts, as in `average_precision`. NaN without positives.
    """
    if positives == 0:
        return np.full(steps + 1, np.nan)
    found = np.cumsum(hits)
    precision = found / np.arange(1, len(hits) + 1)
    best_from_here = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    best: npt.NDArray[np.float64] = best_from_here[np.searchsorted(steps * found, np.arange(steps + 1) * positives)]
    return best


def resampled_average_precision(
    hits: npt.NDArray[np.bool_],
    image: npt.NDArray[np.integer],
    positives: npt.NDArray[np.integer],
    draws: npt.NDArray[np.integer],
    interpolation: Interpolation,
) -> npt.NDArray[np.float64]:
    """The AP of one class on samples of the images, such as those of a bootstrap.

    An image that is drawn n times counts as n images with equal answers, the copies of an answer one after another; an
    image that is not drawn, not at all.

    Args:
        hits: [N] whether the n-th best answer is right; answers that count neither way are left out.
        image: [N] the image of each answer.
        positives: [I] right answers by image.
        draws: [R, I] how often each image is drawn in each of R samples.
        interpolation: as in `average_precision`, which this is with `draws` of ones.

    Returns:
        [R]; NaN where a sample has no positives.
    """
    total = draws @ positives
    values = np.zeros(len(draws))
    step = max(1, ELEMENTS_AT_ONCE // max(1, len(hits)))
    for first in range(0, len(draws) if len(hits) else 0, step):
        rows = slice(first, first + step)
        values[rows] = _weighted(hits, draws[rows][:, image], total[rows], interpolation)
    return np.where(total > 0, values, np.nan)


def _weighted(
    hits: npt.NDArray[np.bool_],
    weights: npt.NDArray[np.integer],
    positives: npt.NDArray[np.integer],
    interpolation: Interpolation,
) -> npt.NDArray[np.float64]:
    """[R] APs of answers that count `weights` [R, N] times, for `positives` [R] above 0 (elsewhere of no meaning).

    The copies of a right answer follow one another, and precision does not fall within them. So the greatest
    precision from any of them on is found at the last one, where the sums below stand.
    """
    found = np.cumsum(weights * hits, axis=1)
    precision = found / np.maximum(np.cumsum(weights, axis=1), 1)
    best_from_here = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    if interpolation == "area":
        area: npt.NDArray[np.float64] = (weights * hits * best_from_here).sum(axis=1) / np.maximum(positives, 1)
        return area
    values = np.zeros(len(weights))
    if interpolation == "101point":
        recalls = found / np.maximum(positives, 1)[:, None]
        for row, (recall, best) in enumerate(zip(recalls, best_from_here, strict=True)):
            at = np.searchsorted(recall, COCO_RECALLS, side="left")
            values[row] = best[at[at < len(best)]].sum() / len(COCO_RECALLS)
        return values
    for k in range(11):
        reached = 10 * found >= k * positives[:, None]
        first = reached.argmax(axis=1)
        values += np.where(reached.any(axis=1), best_from_here[np.arange(len(weights)), first], 0.0)
    return values / 11


def mean_over_defined(values: npt.NDArray[np.float64]) -> float:
    """The mean of what is not NaN; NaN if all is."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")


def check_interpolation(interpolation: str) -> None:
    """Raises ValueError unless `interpolation` is known."""
    if interpolation not in get_args(Interpolation):
        raise ValueError(f"`interpolation` should be one of {get_args(Interpolation)}. Found {interpolation!r}.")
