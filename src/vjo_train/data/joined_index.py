"""The indices of several data sets as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vjo_train.data.index import Index


class Origin(NamedTuple):
    """Where the images of a joined index come from."""

    part: npt.NDArray[np.int16]
    """[I]: which of the indices."""
    row: npt.NDArray[np.int64]
    """[I]: the image's row there."""


def joined_indices(parts: Sequence[Index]) -> tuple[Index, Origin]:
    """All images, sorted by id; the kinds of label and the classes must be the same in all parts.

    What the sources keep besides (`Index.by_image`, `Index.more`) is left out.
    """
    objects = np.cumsum([0, *(len(part.labels) for part in parts)])
    rows = np.cumsum([0, *(len(part) for part in parts)])
    ends = [part.offsets[1:] + start for part, start in zip(parts, objects[:-1], strict=True)]
    whole = Index(
        classes=parts[0].classes,
        ids=np.concatenate([part.ids for part in parts]),
        images=np.concatenate([part.images for part in parts]),
        image_bytes=np.concatenate([part.image_bytes for part in parts]),
        sizes=np.concatenate([part.sizes for part in parts]),
        offsets=np.concatenate([[0], *ends]).astype(np.int64),
        boxes=np.concatenate([part.boxes for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        difficult=np.concatenate([part.difficult for part in parts]),
        labelled={kind: np.concatenate([part.labelled[kind] for part in parts]) for kind in parts[0].labelled},
        files={kind: np.concatenate([part.files[kind] for part in parts]) for kind in parts[0].files},
        faulty=np.concatenate([part.faulty + start for part, start in zip(parts, rows[:-1], strict=True)]),
        faults=np.concatenate([part.faults for part in parts]),
        noted=np.concatenate([_moved(part.noted, start) for part, start in zip(parts, rows[:-1], strict=True)]),
        notes=np.concatenate([part.notes for part in parts]),
        by_image={},
        more={},
    )
    order = np.argsort(whole.ids, kind="stable")
    number = np.repeat(np.arange(len(parts), dtype=np.int16), np.diff(rows))
    row = np.concatenate([np.arange(len(part)) for part in parts])
    return _in_order(whole, order), Origin(number[order], row[order])


def _moved(noted: npt.NDArray[np.int64], start: int) -> npt.NDArray[np.int64]:
    """Rows of `Index.noted` further down; what is said of a whole data set stays so."""
    return np.where(noted < 0, noted, noted + start)


def _in_order(index: Index, order: npt.NDArray[np.int64]) -> Index:
    """The images in another order."""
    spans = [np.arange(index.offsets[row], index.offsets[row + 1]) for row in order.tolist()]
    objects = np.concatenate(spans) if spans else np.empty(0, np.int64)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return replace(
        index,
        ids=index.ids[order],
        images=index.images[order],
        image_bytes=index.image_bytes[order],
        sizes=index.sizes[order],
        offsets=np.concatenate([[0], np.cumsum(np.diff(index.offsets)[order])]).astype(np.int64),
        boxes=index.boxes[objects],
        labels=index.labels[objects],
        difficult=index.difficult[objects],
        labelled={kind: flags[order] for kind, flags in index.labelled.items()},
        files={kind: paths[order] for kind, paths in index.files.items()},
        faulty=place[index.faulty],
        noted=np.array([place[row] if row >= 0 else row for row in index.noted.tolist()], np.int64),
    )
