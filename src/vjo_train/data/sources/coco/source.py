"""COCO's layout as a source."""

from __future__ import annotations

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from vjo_train.data.index import Index
from vjo_train.data.joined_index import joined_indices
from vjo_train.data.labels.base import Kind
from vjo_train.data.labels.boxes import Boxes
from vjo_train.data.labels.classes import Classes, ShownByObjects
from vjo_train.data.labels.masks import Masks
from vjo_train.data.labels.semantic import Semantic
from vjo_train.data.objects import Objects
from vjo_train.data.sources.base import Source
from vjo_train.data.sources.coco import layout
from vjo_train.data.sources.coco.annotations import read
from vjo_train.data.sources.coco.segments import Arrays, outlines
from vjo_train.errors import DataError
from vjo_train.types import IGNORE

log = logging.getLogger("vjo_train")


class COCO(Source):
    """Instances in COCO's JSON, with the pictures where they lie; `layout.parts` says which files are found.

    Every image of a file with annotations is labelled for `classes` and `boxes`, also where it has none; for `masks`
    and `semantic` where each of its objects has an outline. Crowds are difficult objects: ignored in losses and
    metrics, 255 in the semantic map. Where outlines overlap there, the smaller object lies on top. Boxes are cut to
    their picture; what has no area then is left out.

    Args:
        annotations: split -> JSON file, below the root; None: found.
        images: split -> folder of its pictures, below the root; None: found.
    """

    kinds: tuple[Kind, ...] = (Classes(), Boxes(), Semantic(), Masks())

    def __init__(
        self, *, annotations: Mapping[str, str] | None = None, images: Mapping[str, str] | None = None
    ) -> None:
        self.annotations = None if annotations is None else dict(annotations)
        self.images = None if images is None else dict(images)

    def root(self, folder: Path) -> Path:
        if not folder.is_dir():
            raise DataError(f"dataset.root: found no folder {folder}; must hold COCO's annotations and pictures.")
        self._parts(folder)
        return folder

    def _parts(self, root: Path) -> dict[str, layout.Part]:
        return layout.parts(root, self.annotations, self.images)

    def class_names(self, root: Path) -> list[str]:
        found: dict[int, str] = {}
        for part in self._parts(root).values():
            found |= layout.categories(part.file, _changed(part.file))
        if not found:
            raise DataError(f"{root}: found no categories in its JSON files; set dataset.classes.")
        return list(dict.fromkeys(name for _, name in sorted(found.items())))

    def splits(self, root: Path) -> list[str]:
        return list(self._parts(root))

    def split(self, root: Path, split: str) -> list[str]:
        found = self._parts(root)
        name = layout.choose(found, split)
        ids = _ids(found)[name]
        if not ids:
            raise DataError(f"{found[name].file}: lists no images.")
        if twice := [image for image, count in Counter(ids).items() if count > 1]:
            raise DataError(f"{found[name].file}: lists the image {twice[0]} twice.")
        return ids

    def has_split(self, root: Path, split: str) -> bool:
        with suppress(DataError):
            return bool(layout.choose(self._parts(root), split))
        return False

    def split_name(self, root: Path, split: str) -> str:
        found = self._parts(root)
        return str(found[layout.choose(found, split)].file)

    def stamp(self, root: Path) -> str:
        digest = hashlib.sha256()
        for name, part in self._parts(root).items():
            digest.update(f"{name} {part.file} {_changed(part.file)} {part.images}\n".encode(errors="replace"))
            digest.update("\n".join(f"{file} {size}" for file, size in sorted(_pictures(part).items())).encode())
        return digest.hexdigest()

    def read_index(self, root: Path, classes: Sequence[str]) -> Index:
        found = self._parts(root)
        ids = _ids(found)
        files = [_File.read(part, ids[name], classes) for name, part in found.items()]
        joined, origin = joined_indices([file.index for file in files])
        arrays = {f"{k}:{name}": array for k, file in enumerate(files) for name, array in file.outlines.items()}
        first = [file.index.offsets[:-1] for file in files]
        starts = [first[part][row] for part, row in zip(origin.part.tolist(), origin.row.tolist(), strict=True)]
        return replace(joined, more={**arrays, "file": origin.part, "first": np.asarray(starts, np.int64)})

    def read(self, root: Path, index: Index, row: int, kind: str) -> Any:
        objects = index.objects(row)
        if kind == "boxes":
            return objects
        if kind == "classes":
            return ShownByObjects(objects, len(index.classes))
        prefix, first = f"{int(index.more['file'][row])}:", int(index.more["first"][row])
        arrays = {key.removeprefix(prefix): array for key, array in index.more.items() if key.startswith(prefix)}
        masks = outlines(arrays, range(first, first + len(objects)), index.size(row))
        return torch.from_numpy(masks if kind == "masks" else _painted(masks, objects))


def _painted(masks: npt.NDArray[np.bool_], objects: Objects) -> npt.NDArray[np.uint8]:
    """A semantic map [H, W]: smaller objects on top of larger ones, crowds below all as ignored."""
    painted = np.zeros(masks.shape[1:], np.uint8)
    painted[masks[objects.difficult].any(axis=0)] = IGNORE
    areas = masks.sum(axis=(1, 2))
    for number in np.argsort(-areas, kind="stable").tolist():
        if not objects.difficult[number]:
            painted[masks[number]] = objects.labels[number] + 1
    return painted


@dataclass(frozen=True)
class _File:
    """One JSON file as an index, and the outlines of its objects."""

    index: Index
    outlines: Arrays

    @classmethod
    def read(cls, part: layout.Part, ids: Sequence[str], classes: Sequence[str]) -> _File:
        names = layout.categories(part.file, _changed(part.file))
        known = read(part.file, names)
        labels = {category: classes.index(name) for category, name in names.items() if name in classes}
        label = np.array([labels.get(category, -1) for category in known.categories.tolist()], np.int64)
        limits = known.sizes[known.owner][:, [1, 0, 1, 0]]
        boxes = np.clip(known.boxes, 0, limits).astype(np.float32)
        whole: npt.NDArray[np.bool_] = np.all(boxes[:, 2:] > boxes[:, :2], axis=1)
        kept = (label >= 0) & whole
        _tell(part.file, boxes, known.boxes, label >= 0, whole)
        owner, images = known.owner[kept], np.arange(len(known.names))
        counts = np.bincount(owner, minlength=len(images))
        bare = np.bincount(owner[~known.outlined[kept] & ~known.crowd[kept]], minlength=len(images)) > 0
        drawn = known.annotated & ~bare & bool(known.outlined.any())
        bytes_ = _pictures(part)
        every = np.full(len(images), known.annotated)
        index = Index(
            classes=np.asarray(list(classes), np.str_),
            ids=np.asarray(ids, np.str_),
            images=np.asarray([str(part.images / name) for name in known.names], np.str_),
            image_bytes=np.asarray([bytes_.get(name, -1) for name in known.names], np.int64),
            sizes=known.sizes,
            offsets=np.append(0, np.cumsum(counts)).astype(np.int64),
            boxes=boxes[kept],
            labels=label[kept].astype(np.int16),
            difficult=known.crowd[kept],
            labelled={"classes": every, "boxes": every, "semantic": drawn, "masks": drawn},
            files={},
            faulty=np.asarray(list(known.faults), np.int64),
            faults=np.asarray(list(known.faults.values()), np.str_),
            noted=np.empty(0, np.int64),
            notes=np.empty((0, 2), np.str_),
            more={},
        )
        return cls(index, known.outlines.arrays(known.order[kept]))


def _tell(
    file: Path,
    boxes: npt.NDArray[np.float32],
    before: npt.NDArray[np.float32],
    wanted: npt.NDArray[np.bool_],
    whole: npt.NDArray[np.bool_],
) -> None:
    """Says what was changed."""
    cut = int(((np.abs(boxes - before) > 1).any(axis=1) & wanted & whole).sum())  # rounding is not worth a word
    gone = int((wanted & ~whole).sum())
    if cut or gone:
        log.info("%s: %d boxes were cut to their picture, %d without area were left out.", file, cut, gone)


def _ids(parts: Mapping[str, layout.Part]) -> dict[str, list[str]]:
    """Split -> the ids of its images: their names without extension, after the split's where two splits share one."""
    names = {name: layout.image_names(part.file, _changed(part.file)) for name, part in parts.items()}
    plain = {name: [str(PurePosixPath(file).with_suffix("")) for file in files] for name, files in names.items()}
    seen = Counter(image for images in plain.values() for image in set(images))
    shared = any(count > 1 for count in seen.values())
    return {name: [f"{name}/{image}" if shared else image for image in images] for name, images in plain.items()}


def _pictures(part: layout.Part) -> dict[str, int]:
    """Name of a picture -> the size of its file in bytes."""
    found: dict[str, int] = {}
    for folder, _, files in os.walk(part.images):
        with os.scandir(folder) as entries:
            sizes = {entry.name: entry.stat().st_size for entry in entries if entry.name in set(files)}
        inner = Path(folder).relative_to(part.images)
        found |= {str(inner / name): size for name, size in sizes.items()}
    return found


def _changed(file: Path) -> int:
    return file.stat().st_mtime_ns
