"""All annotations of a data set, read once into a few arrays and kept in a cache file."""

from __future__ import annotations

import hashlib
import logging
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

from vjo_train.data.objects import Objects
from vjo_train.files import replacing

log = logging.getLogger(__name__)

FORMAT = 6
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
    images: npt.NDArray[np.str_]
    """[I] the image files, below the root."""
    image_bytes: npt.NDArray[np.int64]
    """[I]: the size of the image file, -1 where it is missing."""
    sizes: npt.NDArray[np.int32]
    """[I, 2] height and width."""
    offsets: npt.NDArray[np.int64]
    """[I + 1]: image i has the objects `offsets[i]:offsets[i + 1]`, in the order of its annotation."""
    boxes: npt.NDArray[np.float32]
    """[N, 4]."""
    labels: npt.NDArray[np.int16]
    """[N] in 0..C-1."""
    difficult: npt.NDArray[np.bool_]
    """[N]."""
    labelled: dict[str, npt.NDArray[np.bool_]]
    """Kind of label -> [I]: the image is labelled with it."""
    files: dict[str, npt.NDArray[np.str_]]
    """Kind of label -> [I]: the file that holds it, below the root, or nothing; only kinds with files of their own."""
    faulty: npt.NDArray[np.int64]
    """[F] rows whose annotation is broken; what else the index says of them means nothing."""
    faults: npt.NDArray[np.str_]
    """[F]: what is wrong with it."""
    noted: npt.NDArray[np.int64]
    """[M] rows that were read otherwise than they are written, in their order; -1 for the data set as a whole."""
    notes: npt.NDArray[np.str_]
    """[M, 2]: the kind of change, such as `clipped box`, and what was changed."""
    by_image: dict[str, npt.NDArray[Any]]
    """What else the source keeps of every image, [I, ...], by names of its own: it counts in the fingerprint."""
    more: dict[str, npt.NDArray[Any]]
    """What else it keeps, of any length; what labels are made of has a digest in `by_image`."""

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, ids: Sequence[str]) -> npt.NDArray[np.int64]:
        """The places of `ids`, -1 for those that have no annotation."""
        wanted = np.asarray(ids, dtype=np.str_)
        places = np.minimum(np.searchsorted(self.ids, wanted), len(self.ids) - 1).astype(np.int64)
        return np.where(self.ids[places] == wanted, places, -1)

    def objects(self, row: int) -> Objects:
        """The objects of image `row`."""
        span = slice(int(self.offsets[row]), int(self.offsets[row + 1]))
        return Objects(self.boxes[span], self.labels[span].astype(np.int64), self.difficult[span])

    def size(self, row: int) -> tuple[int, int]:
        """(height, width) of image `row`."""
        height, width = (int(side) for side in self.sizes[row])
        return height, width

    def image(self, root: Path, row: int) -> Path:
        """The file of image `row`."""
        return root / str(self.images[row])

    def file(self, root: Path, row: int, kind: str) -> Path:
        """The file of a label of image `row` that has one."""
        return root / str(self.files[kind][row])

    def fingerprint(self, rows: npt.NDArray[np.int64]) -> str:
        """16 hexadecimal digits over the classes, ids, annotations and image file sizes of `rows`, in their order.

        The same on every machine; a changed split, box, flag or picture size changes it.
        """
        digest = hashlib.sha256("\n".join([*self.classes.tolist(), "", *self.ids[rows].tolist()]).encode())
        objects = [np.arange(self.offsets[row], self.offsets[row + 1]) for row in rows]
        chosen = np.concatenate(objects) if objects else np.empty(0, np.int64)
        counts = np.diff(self.offsets)[rows]
        flags = [flags[rows] for kind, flags in self.labelled.items() if kind in self.files or not flags.all()]
        more = [array[rows] for array in self.by_image.values()]
        for array in (
            *(self.sizes[rows], counts, *flags, self.image_bytes[rows]),
            *(self.boxes[chosen], self.labels[chosen], self.difficult[chosen], *more),
        ):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]

    def prints(self) -> npt.NDArray[np.uint32]:
        """[I]: what the source keeps of each image besides, in 32 bits: for an index that holds this one."""
        kept = [b"".join(array[row].tobytes() for array in self.by_image.values()) for row in range(len(self))]
        return np.array([crc32(row) for row in kept], np.uint32)


def table(
    *,
    classes: Sequence[str],
    ids: Sequence[str],
    images: Sequence[str],
    image_bytes: Sequence[int],
    sizes: Sequence[tuple[int, int]],
    objects: Sequence[Objects],
    labelled: Mapping[str, Sequence[bool] | npt.NDArray[np.bool_]],
    files: Mapping[str, Sequence[str]] | None = None,
    faults: Mapping[int, str] | None = None,
    notes: Sequence[tuple[int, str, str]] = (),
    by_image: Mapping[str, npt.NDArray[Any]] | None = None,
    more: Mapping[str, npt.NDArray[Any]] | None = None,
) -> Index:
    """An `Index` from what a source has read of its images, in the order of the sorted `ids`; see its fields.

    `faults` has them by row; `notes` are (row or -1, kind of change, what was changed).

    Raises:
        ValueError: the ids are not sorted, or lists differ in length.
    """
    if list(ids) != sorted(ids):
        raise ValueError("ids: must be sorted.")
    tables = labelled, files or {}, by_image or {}
    columns = [images, image_bytes, sizes, objects, *(column for one in tables for column in one.values())]
    if any(len(column) != len(ids) for column in columns):
        raise ValueError(f"found lists of {sorted({len(c) for c in columns})} images; there are {len(ids)} ids.")
    faults = faults or {}
    return Index(
        classes=np.asarray(list(classes), np.str_),
        ids=np.asarray(ids, np.str_),
        images=np.asarray(images, np.str_),
        image_bytes=np.asarray(image_bytes, np.int64),
        sizes=np.asarray(sizes, np.int32).reshape(-1, 2),
        offsets=np.cumsum([0, *map(len, objects)], dtype=np.int64),
        boxes=np.concatenate([one.boxes for one in objects]).astype(np.float32),
        labels=np.concatenate([one.labels for one in objects]).astype(np.int16),
        difficult=np.concatenate([one.difficult for one in objects]),
        labelled={kind: np.asarray(flags, np.bool_) for kind, flags in labelled.items()},
        files={kind: np.asarray(paths, np.str_) for kind, paths in (files or {}).items()},
        faulty=np.asarray(list(faults), np.int64),
        faults=np.asarray(list(faults.values()), np.str_),
        noted=np.asarray([row for row, _, _ in notes], np.int64),
        notes=np.asarray([note for _, *note in notes], np.str_).reshape(-1, 2),
        by_image=dict(by_image or {}),
        more=dict(more or {}),
    )


def cached(path: Path, stamp: str) -> Index | None:
    """The index in a cache file, or None where it is missing, outdated or unreadable.

    Args:
        path: the file.
        stamp: what it must have been written with.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            if str(file["stamp"]) != f"{FORMAT} {stamp}":
                return None
            return index_of({name: file[name] for name in file.files})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        log.warning("%s is unreadable (%s): reading the annotations again.", path, error)
        return None


def keep(path: Path, index: Index, stamp: str) -> None:
    """Writes the index into a cache file."""
    with replacing(path) as file:
        arrays: dict[str, Any] = {"stamp": np.asarray(f"{FORMAT} {stamp}"), **arrays_of(index)}
        np.savez(file, **arrays)


def arrays_of(index: Index) -> dict[str, npt.NDArray[Any]]:
    """All arrays of an index by name; those in its tables as `<field>/<key>`."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    for field in fields(Index):
        value = getattr(index, field.name)
        if field.name in _TABLES:
            arrays |= {f"{field.name}/{key}": array for key, array in value.items()}
        else:
            arrays[field.name] = value
    return arrays


def index_of(arrays: Mapping[str, npt.NDArray[Any]]) -> Index:
    """The inverse of `arrays_of`.

    Raises:
        KeyError: an array is missing.
    """
    return Index(**{field.name: _field(field.name, arrays) for field in fields(Index)})


_TABLES = ("labelled", "files", "by_image", "more")


def _field(name: str, arrays: Mapping[str, npt.NDArray[Any]]) -> Any:
    """A field of the index, from the arrays of its cache file."""
    if name not in _TABLES:
        return arrays[name]
    return {key.removeprefix(f"{name}/"): array for key, array in arrays.items() if key.startswith(f"{name}/")}
