"""All annotations of a data set, parsed once into a few arrays and kept in a cache file."""

from __future__ import annotations

import hashlib
import logging
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vjo_train.data import voc
from vjo_train.errors import DataError
from vjo_train.files import replacing

log = logging.getLogger(__name__)

FORMAT = 2
"""Raised when the cache file or the meaning of its arrays changes."""


@dataclass(frozen=True)
class Index:
    """I images with N objects, as arrays that worker processes share.

    The ids are sorted; boxes are 0-based continuous xyxy in the image file's pixels.
    """

    classes: npt.NDArray[np.str_]
    """[C] the class names, in the order of the labels."""
    ids: npt.NDArray[np.str_]
    """[I] sorted."""
    sizes: npt.NDArray[np.int32]
    """[I, 2] height and width."""
    offsets: npt.NDArray[np.int64]
    """[I + 1]: image i has the objects `offsets[i]:offsets[i + 1]`, in the order of its file."""
    boxes: npt.NDArray[np.float32]
    """[N, 4]."""
    labels: npt.NDArray[np.int16]
    """[N] in 0..C-1."""
    difficult: npt.NDArray[np.bool_]
    """[N]."""
    has_semantic: npt.NDArray[np.bool_]
    """[I]: the image has a class mask."""
    has_masks: npt.NDArray[np.bool_]
    """[I]: the image has an object mask."""
    image_bytes: npt.NDArray[np.int64]
    """[I]: the size of the image file, -1 where it is missing."""
    faulty: npt.NDArray[np.int64]
    """[F] rows whose annotation is broken; what else the index says of them means nothing."""
    faults: npt.NDArray[np.str_]
    """[F]: what is wrong with it."""

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, ids: Sequence[str]) -> npt.NDArray[np.int64]:
        """The places of `ids`, -1 for those that have no annotation."""
        wanted = np.asarray(ids, dtype=np.str_)
        places = np.minimum(np.searchsorted(self.ids, wanted), len(self.ids) - 1).astype(np.int64)
        return np.where(self.ids[places] == wanted, places, -1)

    def annotation(self, row: int) -> voc.Annotation:
        """What is known of image `row`."""
        span = slice(int(self.offsets[row]), int(self.offsets[row + 1]))
        height, width = (int(side) for side in self.sizes[row])
        return voc.Annotation(
            (height, width), self.boxes[span], self.labels[span].astype(np.int64), self.difficult[span]
        )

    def fingerprint(self, rows: npt.NDArray[np.int64]) -> str:
        """16 hexadecimal digits over the classes, ids, annotations and image file sizes of `rows`, in their order.

        The same on every machine; a changed split, box, flag or picture size changes it.
        """
        digest = hashlib.sha256("\n".join([*self.classes.tolist(), "", *self.ids[rows].tolist()]).encode())
        objects = [np.arange(self.offsets[row], self.offsets[row + 1]) for row in rows]
        chosen = np.concatenate(objects) if objects else np.empty(0, np.int64)
        counts = np.diff(self.offsets)[rows]
        per_image = (self.sizes[rows], counts, self.has_semantic[rows], self.has_masks[rows], self.image_bytes[rows])
        for array in (*per_image, self.boxes[chosen], self.labels[chosen], self.difficult[chosen]):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]


def load(root: Path, classes: Sequence[str], cache: Path) -> Index:
    """The index of the data set at `root`, from the cache where no file has been added, removed or changed since.

    Args:
        root: the folder that holds `JPEGImages/`.
        classes: class names, in the order of their labels.
        cache: folder for the cache file; made if missing.

    Raises:
        DataError: there is no annotation.
    """
    root = root.resolve()
    listed = _scan(root)
    stamp = _stamp(listed)
    key = hashlib.sha256(repr((str(root), list(classes))).encode()).hexdigest()[:16]
    path = cache / f"index-{key}.npz"
    cached = _read(path, stamp)
    if cached is not None:
        return cached
    log.info("Reading the annotations of %s.", root)
    index = _build(root, classes, listed)
    _write(path, index, stamp)
    return index


_Listing = dict[str, dict[str, tuple[int, int]]]
"""Folder -> file name -> (size in bytes, time of the last change in ns)."""


def _scan(root: Path) -> _Listing:
    listed: _Listing = {}
    for folder in (voc.IMAGES, voc.ANNOTATIONS, voc.CLASS_MASKS, voc.OBJECT_MASKS):
        files: dict[str, tuple[int, int]] = {}
        if (root / folder).is_dir():
            with os.scandir(root / folder) as entries:
                for entry in entries:
                    try:
                        stat = entry.stat()
                    except OSError:  # a link to nowhere or to itself: what reads it says so
                        files[entry.name] = (-1, 0)
                    else:
                        files[entry.name] = (stat.st_size, stat.st_mtime_ns)
        listed[folder] = files
    return listed


def _stamp(listed: _Listing) -> str:
    digest = hashlib.sha256(str(FORMAT).encode())
    for folder, files in listed.items():
        lines = sorted(f"{name}\0{size}\0{changed}" for name, (size, changed) in files.items())
        digest.update(f"{folder}\n{len(lines)}\n".encode())
        digest.update("\n".join(lines).encode(errors="surrogateescape"))
    return digest.hexdigest()


_NOTHING = voc.Annotation((1, 1), np.empty((0, 4), np.float32), np.empty(0, np.int64), np.empty(0, np.bool_))
"""Holds the place of a broken annotation."""


def _build(root: Path, classes: Sequence[str], listed: _Listing) -> Index:
    ids = sorted(name[:-4] for name in listed[voc.ANNOTATIONS] if name.endswith(".xml"))
    if not ids:
        raise DataError(f"{root / voc.ANNOTATIONS}: found no *.xml; there must be one per image.")
    numbers = {name: number for number, name in enumerate(classes)}
    parsed, faults = [], {}
    for row, name in enumerate(ids):
        try:
            parsed.append(voc.parse(root / voc.ANNOTATIONS / f"{name}.xml", numbers))
        except DataError as error:
            parsed.append(_NOTHING)
            faults[row] = str(error)
    images = listed[voc.IMAGES]
    return Index(
        classes=np.asarray(list(classes), np.str_),
        ids=np.asarray(ids, np.str_),
        sizes=np.asarray([a.size for a in parsed], np.int32),
        offsets=np.cumsum([0, *(len(a.labels) for a in parsed)], dtype=np.int64),
        boxes=np.concatenate([a.boxes for a in parsed]).astype(np.float32),
        labels=np.concatenate([a.labels for a in parsed]).astype(np.int16),
        difficult=np.concatenate([a.difficult for a in parsed]),
        has_semantic=np.asarray([f"{name}.png" in listed[voc.CLASS_MASKS] for name in ids]),
        has_masks=np.asarray([f"{name}.png" in listed[voc.OBJECT_MASKS] for name in ids]),
        image_bytes=np.asarray([images.get(f"{name}.jpg", (-1, 0))[0] for name in ids], np.int64),
        faulty=np.asarray(list(faults), np.int64),
        faults=np.asarray(list(faults.values()), np.str_),
    )


def _read(path: Path, stamp: str) -> Index | None:
    """The cached index, or None where it is missing, outdated or unreadable."""
    try:
        with np.load(path, allow_pickle=False) as file:
            if str(file["stamp"]) != stamp:
                return None
            arrays: dict[str, Any] = {field.name: file[field.name] for field in fields(Index)}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        log.warning("%s is unreadable (%s): reading the annotations again.", path, error)
        return None
    return Index(**arrays)


def _write(path: Path, index: Index, stamp: str) -> None:
    arrays = {field.name: getattr(index, field.name) for field in fields(Index)}
    with replacing(path) as file:
        np.savez(file, stamp=np.asarray(stamp), **arrays)
