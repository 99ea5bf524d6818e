"""Which detections of key points are right, by COCO's rule: pure functions on arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

THRESHOLDS = np.linspace(0.5, 0.95, 10)
MOST = 20
"""Detections of an image and class that count."""

Doubles = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def similarities(
    found: Doubles, truth: Doubles, boxes: Doubles, areas: Doubles, sigmas: Sequence[float]
) -> npt.NDArray[np.float64]:
    """[N, M] object key point similarities (COCO; see `metrics.keypoints`).

    Args:
        found: [N, K, 3] points of detections.
        truth: [M, K, 3] points of objects; 0 in the last place where one is unknown.
        boxes: [M, 4] of objects, xyxy.
        areas: [M].
        sigmas: [K].
    """
    scales = (2 * np.asarray(sigmas)) ** 2
    values = np.zeros((len(found), len(truth)))
    for column, (points, box, area) in enumerate(zip(truth, boxes, areas, strict=True)):
        known = points[:, 2] > 0
        away = found[..., :2] - points[:, :2]
        if not known.any():
            sides = box[2:] - box[:2]
            low, high = box[:2] - sides, box[:2] + 2 * sides
            away = np.maximum(0, low - found[..., :2]) + np.maximum(0, found[..., :2] - high)
            known[:] = True
        exponents = (away**2).sum(-1) / scales / (area + np.spacing(1)) / 2
        values[:, column] = np.exp(-exponents[:, known]).mean(axis=1)
    return values


def judged(values: npt.NDArray[np.float64], ignored: Flags, crowds: Flags) -> tuple[Flags, Flags]:
    """The verdicts on the detections of one image and class, at ten thresholds.

    Every detection, the best first, takes the most similar object that is free; one that counts before an ignored one.
    Any number of them may take a crowd.

    Args:
        values: [N, M] similarities; detections best score first.
        ignored: [M] objects that do not count, crowds among them.
        crowds: [M].

    Returns:
        [10, N] whether it is right, and [10, N] whether it counts.
    """
    order = np.argsort(ignored, kind="stable")
    values, ignored, crowds = values[:, order], ignored[order], crowds[order]
    hits = np.zeros((len(THRESHOLDS), len(values)), np.bool_)
    counted = np.ones_like(hits)
    for level, threshold in enumerate(THRESHOLDS):
        free = np.ones(len(ignored), np.bool_)
        for row, own in enumerate(values):
            able = (free | crowds) & (own >= min(threshold, 1 - 1e-10))
            chosen = np.flatnonzero(able & ~ignored)
            if not len(chosen):
                chosen = np.flatnonzero(able)
            if not len(chosen):
                continue
            best = chosen[own[chosen] == own[chosen].max()][-1]  # of equal ones COCO takes the last
            free[best] = False
            hits[level, row], counted[level, row] = not ignored[best], not ignored[best]
    return hits, counted
