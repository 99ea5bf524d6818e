"""Reliability: how often answers of some confidence are right. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vjo_train.runs.records.base import Doubles, Flags, Floats, Integers, Records
from vjo_train.runs.records.choices import Choices
from vjo_train.runs.records.scores import Scores

BINS = 15
"""Of equal width, as in Guo et al. 2017."""


@dataclass(frozen=True)
class Reliability:
    """By bin, without empty ones, [B] each: mean confidence, share of right answers, number of answers."""

    confidence: Doubles
    right: Doubles
    number: Integers


def answers(records: Records) -> tuple[Floats, Flags] | None:
    """[N] how sure each answer was, and whether it was right; None for records of another kind, or older ones.

    Multi-label classification answers for each image and class whether the class is there; labels of 0 are left out.
    """
    if isinstance(records, Scores):
        known = records.labels != 0
        return records.scores[known], records.labels[known] > 0
    if isinstance(records, Choices) and len(records.confidence) == len(records.truth):
        return records.confidence, records.found[:, 0] == records.truth
    return None


def reliability(confidence: Floats, right: Flags, bins: int = BINS) -> Reliability:
    """The answers by bins of equal width, of which each holds its lower bound."""
    place = np.clip((np.asarray(confidence, np.float64) * bins).astype(np.int64), 0, bins - 1)
    number = np.bincount(place, minlength=bins)
    there = number > 0
    sure = np.bincount(place, confidence, minlength=bins)[there] / number[there]
    hits = np.bincount(place, right, minlength=bins)[there] / number[there]
    return Reliability(sure, hits, number[there])
