"""From what was gathered to the index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

from vjo_train.data.index import Index
from vjo_train.data.sources.coco import keypoints
from vjo_train.data.sources.coco.annotations import Gathered


def indexed(
    classes: Sequence[str], ids: Sequence[str], images: Sequence[str], image_bytes: Sequence[int], found: Gathered
) -> Index:
    """The images sorted by their ids, and the objects in their order."""
    names = np.asarray(ids, np.str_)
    order = np.argsort(names, kind="stable")
    counts = found.counts[order]
    starts = (np.cumsum(found.counts) - found.counts)[order]
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    objects = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], counts)
    more = found.outlines | {name: found.outlines[name][objects] for name in ("rings", "spans")}
    points = found.points | {name: found.points[name][objects] for name in keypoints.BY_OBJECT if found.points}
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    faults = {int(places[row]): what for row, what in found.faults.items()}
    outlined = found.outlined[order]
    return Index(
        classes=np.asarray(list(classes), np.str_),
        ids=names[order],
        images=np.asarray(images, np.str_)[order],
        image_bytes=np.asarray(image_bytes, np.int64)[order],
        sizes=found.sizes[order],
        offsets=offsets,
        boxes=found.boxes[objects],
        labels=found.labels[objects],
        difficult=found.crowd[objects],
        labelled={
            "classes": found.annotated[order],
            "boxes": found.annotated[order],
            "semantic": outlined,
            "masks": outlined,
            "keypoints": found.pointed[order],
        },
        files={},
        faulty=np.asarray(list(faults), np.int64),
        faults=np.asarray(list(faults.values()), np.str_),
        noted=np.asarray([places[row] if row >= 0 else row for row, _, _ in found.notes], np.int64),
        notes=np.asarray([note for _, *note in found.notes], np.str_).reshape(-1, 2),
        by_image={"outline_digests": _digests(more, offsets)} | _point_digests(points, offsets),
        more=more | points,
    )


def _point_digests(
    points: Mapping[str, npt.NDArray[Any]], offsets: npt.NDArray[np.int64]
) -> dict[str, npt.NDArray[np.uint32]]:
    """Of the key points, in the same way; nothing where there are none."""
    if not points:
        return {}
    digests = [keypoints.digest(points, slice(first, last)) for first, last in pairwise(offsets.tolist())]
    return {"point_digests": np.array(digests, np.uint32)}


def _digests(more: Mapping[str, npt.NDArray[Any]], offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.uint32]:
    """[I]: of the outlines of every image, so that they count in the fingerprint of a split."""
    digests = np.zeros(len(offsets) - 1, np.uint32)
    corners, runs = more["corners"].data, more["runs"].data
    spans = np.concatenate([more["ring_ends"][more["rings"]], more["spans"]], axis=1)
    for image, (first, last) in enumerate(pairwise(offsets.tolist())):
        digest = 0
        for start, end, runs_start, runs_end in spans[first:last].tolist():
            digest = crc32(runs[runs_start:runs_end], crc32(corners[start:end], digest))
        digests[image] = digest
    return digests
