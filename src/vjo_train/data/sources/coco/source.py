"""COCO's instance JSON as a source."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt
import torch

from vjo_train.data.index import Index
from vjo_train.data.labels.base import Kind
from vjo_train.data.labels.boxes import Boxes
from vjo_train.data.labels.classes import Classes, ShownByObjects
from vjo_train.data.labels.keypoints import Keypoints
from vjo_train.data.labels.masks import Masks
from vjo_train.data.labels.semantic import Semantic
from vjo_train.data.sources.coco import keypoints, layout
from vjo_train.data.sources.coco.annotations import Gathered, Gathering, categories
from vjo_train.data.sources.coco.files import JsonFiles, check_classes
from vjo_train.data.sources.coco.outlines import masks
from vjo_train.data.sources.coco.painting import painted
from vjo_train.data.sources.voc.layout import listing, nearest
from vjo_train.errors import DataError


class COCO(JsonFiles):
    """Boxes, polygons and run lengths of instance JSON; see `layout` for where it lies.

    Every image of a file with annotations is labelled for `classes` and `boxes`, and, if all its objects but crowds
    have an outline, for `masks` and `semantic`. Crowds are difficult. Objects of categories that are no class are left
    out. Every image of a file in which a class has key points is labelled for `keypoints`; objects of other classes
    have none.

    Args:
        annotations: split -> its JSON file below the root, in the place of those that are found.
        images: split -> the folder of its pictures below the root, in the place of the one that is found.
        keypoints: the classes whose key points are read; None: all that have any. They must have the same ones.
    """

    kinds: tuple[Kind, ...] = (Classes(), Boxes(), Semantic(), Masks(), Keypoints())
    maps: Mapping[str, torch.dtype] = {"semantic": torch.uint8}

    def __init__(
        self,
        *,
        annotations: Mapping[str, str] | None = None,
        images: Mapping[str, str] | None = None,
        keypoints: Sequence[str] | None = None,
    ) -> None:
        super().__init__(annotations=annotations, images=images)
        self.keypoints = None if keypoints is None else list(keypoints)

    def root(self, folder: Path) -> Path:
        return folder if self.annotations and folder.is_dir() else layout.find_root(folder)

    def class_names(self, root: Path) -> list[str]:
        """Those of all categories in the order of their ids; of further files, those that are new."""
        names = dict.fromkeys(name for part in self.parts(root) for name in categories(part).values())
        if not names:
            raise DataError(f"{root}: found no categories; dataset.classes must be given.")
        return list(names)

    def class_names_of(self, root: Path, kind: str) -> list[str]:
        """Of `keypoints`, those that have any; all where none has."""
        names = self.class_names(root)
        if kind != "keypoints":
            return names
        found = keypoints.pointed(self.parts(root)) if self.keypoints is None else set(self.keypoints)
        return [name for name in names if name in found] or names

    def stamp(self, root: Path) -> str:
        digest = hashlib.sha256()
        for part in self.parts(root):
            digest.update(f"{part.split}\0{part.folder}\n".encode())
            for file in (part.file, part.points):
                stat = file.stat()
                digest.update(f"{file}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
        for folder in sorted({part.folder for part in self.parts(root)}):
            for line in sorted(layout.files_below(root / folder)):
                digest.update(f"{line}\n".encode(errors="surrogateescape"))
        return digest.hexdigest()

    def read_index(self, root: Path, classes: Sequence[str]) -> Index:
        parts = self.parts(root)
        names = {name for part in parts for name in categories(part).values()}
        check_classes(root, classes, names)
        for name in self.keypoints or ():
            if name not in classes:
                found = f"found '{name}'{nearest(name, list(classes))}"
                raise DataError(f"dataset.source.keypoints: {found}; allowed are classes, {listing(classes)}.")
        pointed = classes if self.keypoints is None else self.keypoints
        gathering = Gathering({name: label for label, name in enumerate(classes)}, pointed)
        for part in parts:
            gathering.read(part)
        ids = [name for names in layout.ids(parts) for name in names]
        images = [part.picture(name) for part in parts for name in part.names]
        return _index(classes, ids, images, _bytes(root, parts), gathering.finish())

    def read(self, root: Path, index: Index, row: int, kind: str) -> Any:
        objects = index.objects(row)
        if kind == "boxes":
            return objects
        if kind == "classes":
            return ShownByObjects(objects, len(index.classes))
        own = slice(int(index.offsets[row]), int(index.offsets[row + 1]))
        if kind == "keypoints":
            return keypoints.points(index.more, own, objects)
        drawn = masks(index.more, own, index.size(row))
        return torch.from_numpy(drawn if kind == "masks" else painted(drawn, objects))

    def parts(self, root: Path) -> list[layout.Part]:
        return layout.parts(root, self.annotations, self.images)


def _bytes(root: Path, parts: Sequence[layout.Part]) -> list[int]:
    """The size of every picture's file, -1 where it is missing."""
    listed = {
        folder: {name: size for name, size, _ in layout.files_below(root / folder)}
        for folder in {part.folder for part in parts}
    }
    return [listed[part.folder].get(name, -1) for part in parts for name in part.names]


def _index(
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
        noted=np.asarray([places[row] for row, _, _ in found.notes], np.int64),
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
