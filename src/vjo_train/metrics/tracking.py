"""How well objects are followed: CLEAR MOT and identity scores, from boxes with identities.

Bernardin and Stiefelhagen 2008, https://doi.org/10.1155/2008/246309 (MOTA, MOTP, switches); Ristani et al. 2016,
https://arxiv.org/abs/1609.01775 (IDF1). The figures are those of py-motmetrics.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from vjo_train.tracking.assignment import overlaps, pairs
from vjo_train.tracking.mot_files import Tracks

IOU = 0.5
"""Least overlap of an object and what is found of it."""
_MANY = 1e6
"""What an object that is left out costs: as many as can be are matched."""


@dataclass(frozen=True)
class Counts:
    """What sequences and classes add up to."""

    objects: int = 0
    """Boxes of the ground truth."""
    found: int = 0
    """Boxes of the result."""
    matches: int = 0
    """Of one with the other, frame by frame; switches are among them."""
    switches: int = 0
    """Matches whose object had another identity when it was last matched."""
    overlap: float = 0.0
    """Sum of the IoU of the matches."""
    identified: int = 0
    """Boxes of the result on their object, where each object has one identity for the whole sequence."""

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))


def figures(counts: Counts) -> dict[str, float]:
    """IDF1, MOTA, MOTP (mean IoU of matches), precision and recall in 0..1 (MOTA may be below), and numbers."""
    misses, wrong = counts.objects - counts.matches, counts.found - counts.matches
    return {
        "idf1": _share(2 * counts.identified, counts.objects + counts.found),
        "mota": 1 - _share(misses + wrong + counts.switches, counts.objects),
        "motp": _share(counts.overlap, counts.matches),
        "precision": _share(counts.matches, counts.found),
        "recall": _share(counts.matches, counts.objects),
        "switches": float(counts.switches),
        "misses": float(misses),
        "false_positives": float(wrong),
    }


def count(truth: Tracks, result: Tracks, frames: Iterable[int]) -> Counts:
    """Compares a result with the ground truth of one sequence, each class by itself.

    What is found of an object that does not count is left out before, as MOTChallenge does it.

    Args:
        truth: the annotations.
        result: what was found.
        frames: those that are compared.
    """
    total, numbers = Counts(), sorted(frames)
    for label in np.unique(np.concatenate([truth.labels[truth.counted], result.labels])):
        total += _of_class(truth, result, int(label), numbers)
    return total


def _of_class(truth: Tracks, result: Tracks, label: int, frames: list[int]) -> Counts:
    last: dict[int, int] = {}
    together: dict[tuple[int, int], int] = {}
    total = Counts()
    for frame in frames:
        real, seen = truth.at(frame), result.at(frame)
        seen = seen[result.labels[seen] == label]
        seen = _without_ignored(truth, real, result, seen)
        real = real[truth.counted[real] & (truth.labels[real] == label)]
        alike = overlaps(truth.boxes[real], result.boxes[seen])
        own, other = truth.ids[real], result.ids[seen]
        for k, j in zip(*np.nonzero(alike >= IOU), strict=True):
            pair = int(own[k]), int(other[j])
            together[pair] = together.get(pair, 0) + 1
        matched = _kept(own, other, alike, last)
        switches = sum(last.get(int(own[k]), int(other[j])) != other[j] for k, j in matched)
        last.update((int(own[k]), int(other[j])) for k, j in matched)
        overlap = float(sum(alike[k, j] for k, j in matched))
        total += Counts(len(real), len(seen), len(matched), int(switches), overlap)
    return total + Counts(identified=_identified(together))


def _without_ignored(
    truth: Tracks, real: npt.NDArray[np.int64], result: Tracks, seen: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Without what is matched with an object that does not count."""
    if truth.counted[real].all():
        return seen
    alike = overlaps(truth.boxes[real], result.boxes[seen])
    rows, columns = pairs(np.where(alike >= IOU, 1 - alike, np.inf), 1 - IOU, _MANY)
    return np.delete(seen, columns[~truth.counted[real[rows]]])


def _kept(
    own: npt.NDArray[np.int64], other: npt.NDArray[np.int64], alike: npt.NDArray[np.float64], last: Mapping[int, int]
) -> list[tuple[int, int]]:
    """Pairs of rows: those of the last frames as long as they overlap, then the closest of the others."""
    matched: list[tuple[int, int]] = []
    for k, identity in enumerate(own.tolist()):
        for j in np.flatnonzero(other == last.get(identity, -1)).tolist():
            if alike[k, j] >= IOU and j not in {taken for _, taken in matched}:
                matched.append((k, j))
                break
    costs = np.where(alike >= IOU, 1 - alike, np.inf)
    for k, j in matched:
        costs[k], costs[:, j] = np.inf, np.inf
    rows, columns = pairs(costs, 1 - IOU, _MANY)
    return [*matched, *zip(rows.tolist(), columns.tolist(), strict=True)]


def _identified(together: Mapping[tuple[int, int], int]) -> int:
    """Boxes of the pairs of objects and identities that share most frames, each in one pair."""
    if not together:
        return 0
    objects, identities = (sorted({pair[side] for pair in together}) for side in (0, 1))
    shared = np.zeros((len(objects), len(identities)))
    for (real, seen), frames in together.items():
        shared[objects.index(real), identities.index(seen)] = frames
    rows, columns = pairs(shared.max() - shared, float(shared.max()))
    return int(shared[rows, columns].sum())


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
