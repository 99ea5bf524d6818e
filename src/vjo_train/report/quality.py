"""How well single images were answered in a test, from its records: which to show as best and as worst.

Pure functions; imports no torch.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from vjo_train.runs.average_precision import average_precision
from vjo_train.runs.records import Matches, Pixels, Records, Scores

Floats: TypeAlias = npt.NDArray[np.float64]

MEASURES = {
    "scores": "least score of a class that is present minus the greatest of one that is absent (−1 to 1)",
    "matches": "AP of the image's own detections, all classes together (0 to 1)",
    "pixels": "mean IoU of the classes in the image or its prediction (0 to 1)",
}
"""Kind of records -> what `quality` measures, in words."""


def quality(records: Records, setting: int = 0) -> Floats:
    """[I]: see `MEASURES`; NaN where an image has nothing to be right or wrong about.

    Args:
        records: of one task.
        setting: the one of `Matches` whose verdicts count.
    """
    if isinstance(records, Scores):
        return margins(records)
    return precisions(records, setting) if isinstance(records, Matches) else overlaps(records)


def margins(records: Scores) -> Floats:
    """Above 0, all classes that are present rank before all that are absent; NaN where no class is present."""
    present = np.where(records.labels > 0, records.scores, 1.0).min(axis=1)
    absent = np.where(records.labels < 0, records.scores, 0.0).max(axis=1)
    shown = (records.labels > 0).any(axis=1)
    return np.where(shown, present.astype(np.float64) - absent, np.nan)


def precisions(records: Matches, setting: int = 0) -> Floats:
    """AP by area of each image's detections in order of score; NaN for an image without objects that count."""
    counted = records.counted[setting]
    order = np.argsort(-records.score, kind="stable")
    order = order[counted[order]]
    image, hits = records.image[order], records.hits[setting][order]
    positives = records.objects.sum(axis=1)
    return np.array([average_precision(hits[image == i], int(n), "area") for i, n in enumerate(positives)])


def overlaps(records: Pixels) -> Floats:
    """Mean IoU over the classes, background included, that an image or its prediction shows; NaN without pixels."""
    images, classes = (int(n) for n in records.shape)
    hits, truth, found = (np.zeros((images, classes)) for _ in range(3))
    np.add.at(truth, (records.image, records.truth), records.count)
    np.add.at(found, (records.image, records.found), records.count)
    right = records.truth == records.found
    np.add.at(hits, (records.image[right], records.truth[right]), records.count[right])
    union = truth + found - hits
    shown = (union > 0).sum(axis=1)
    total = np.where(union > 0, hits / np.maximum(union, 1), 0.0).sum(axis=1)
    return np.where(shown > 0, total / np.maximum(shown, 1), np.nan)


def extremes(values: Floats, weight: Floats, number: int) -> tuple[list[int], list[int]]:
    """The places of the `number` best and of the `number` worst values, without NaN and without a place in both.

    Of equal values, those with more `weight` come first at both ends: five objects found say more than one.
    """
    known = [int(place) for place in np.flatnonzero(~np.isnan(values))]
    number = min(number, len(known) // 2)
    best = sorted(known, key=lambda place: (-values[place], -weight[place], place))[:number]
    rest = [place for place in known if place not in best]
    return best, sorted(rest, key=lambda place: (values[place], -weight[place], place))[:number]


def contents(records: Records) -> Floats:
    """[I] how much there is to be right about: classes present, objects, or kinds of pixels."""
    number: Floats
    if isinstance(records, Scores):
        number = (records.labels > 0).sum(axis=1).astype(np.float64)
    elif isinstance(records, Matches):
        number = records.objects.sum(axis=1).astype(np.float64)
    else:
        number = np.bincount(records.image, minlength=int(records.shape[0])).astype(np.float64)
    return number
