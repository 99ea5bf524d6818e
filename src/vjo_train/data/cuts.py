"""Cutting a split in parts, without separating images that belong together: pure functions."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vjo_train.errors import DataError

Numbers = npt.NDArray[np.int64]


def group_names(ids: Sequence[str], pattern: str) -> list[str]:
    """[I] what each image belongs to, such as a patient or a film.

    Args:
        ids: of the images.
        pattern: a regular expression that is looked for in an id; images for which its first group is the same text
            belong together.

    Raises:
        DataError: it does not occur in an id.
    """
    names = []
    for name in ids:
        found = re.search(pattern, name)
        if found is None or found[1] is None:
            raise DataError(f"dataset.group: '{pattern}' does not occur in the image id '{name}'; must in each.")
        names.append(found[1])
    return names


def evenly(rows: Numbers, most: int) -> Numbers:
    """All of `rows`, or `most` of them, evenly chosen."""
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(np.int64))]


def cut(groups: Numbers, number: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """[I] the images that are cut off: whole groups in random order until there are at least `number` images.

    Args:
        groups: [I] of each image.
        number: at least 1.
        rng: of the order.
    """
    present, sizes = np.unique(groups, return_counts=True)
    order = rng.permutation(len(present))
    count = int(np.searchsorted(np.cumsum(sizes[order]), number)) + 1
    return np.isin(groups, present[order[:count]])


def folds(groups: Numbers, count: int, rng: np.random.Generator) -> Numbers:
    """[I] the fold 0..count-1 of each image: groups in random order, large ones first, each to the smallest fold.

    Without groups the folds differ by one image at most.
    """
    present, sizes = np.unique(groups, return_counts=True)
    order = rng.permutation(len(present))
    order = order[np.argsort(-sizes[order], kind="stable")]
    filled, fold = np.zeros(count, np.int64), np.zeros(len(present), np.int64)
    for place in order.tolist():
        fold[place] = int(filled.argmin())
        filled[fold[place]] += sizes[place]
    return fold[np.searchsorted(present, groups)]
