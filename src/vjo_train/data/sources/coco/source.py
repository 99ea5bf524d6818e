"""COCO's instance JSON as a source."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from vjo_train.data.index import Index
from vjo_train.data.labels.base import Kind
from vjo_train.data.labels.boxes import Boxes
from vjo_train.data.labels.classes import Classes
from vjo_train.data.labels.keypoints import Keypoints
from vjo_train.data.labels.masks import Masks
from vjo_train.data.labels.semantic import Semantic
from vjo_train.data.sources.coco import keypoints, layout
from vjo_train.data.sources.coco.annotations import Gathering, categories
from vjo_train.data.sources.coco.files import JsonFiles, check_classes
from vjo_train.data.sources.coco.indexing import indexed
from vjo_train.data.sources.coco.painting import label_of
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
        box: what a `bbox` is: x, y, width, height, as COCO says, or x1, y1, x2, y2, as MIDOG has it.
    """

    kinds: tuple[Kind, ...] = (Classes(), Boxes(), Semantic(), Masks(), Keypoints())
    maps: Mapping[str, torch.dtype] = {"semantic": torch.uint8}

    def __init__(
        self,
        *,
        annotations: Mapping[str, str] | None = None,
        images: Mapping[str, str] | None = None,
        keypoints: Sequence[str] | None = None,
        box: Literal["xywh", "xyxy"] = "xywh",
    ) -> None:
        super().__init__(annotations=annotations, images=images)
        self.keypoints = None if keypoints is None else list(keypoints)
        self.box = box

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
        gathering = Gathering({name: label for label, name in enumerate(classes)}, pointed, self.box == "xyxy")
        for part in parts:
            gathering.read(part)
        ids = [name for names in layout.ids(parts) for name in names]
        images = [part.picture(name) for part in parts for name in part.names]
        return indexed(classes, ids, images, _bytes(root, parts), gathering.finish())

    def read(self, root: Path, index: Index, row: int, kind: str) -> Any:
        if kind == "keypoints":
            own = slice(int(index.offsets[row]), int(index.offsets[row + 1]))
            return keypoints.points(index.more, own, index.objects(row))
        return label_of(index, row, kind)

    def parts(self, root: Path) -> list[layout.Part]:
        return layout.parts(root, self.annotations, self.images)


def _bytes(root: Path, parts: Sequence[layout.Part]) -> list[int]:
    """The size of every picture's file, -1 where it is missing."""
    listed = {
        folder: {name: size for name, size, _ in layout.files_below(root / folder)}
        for folder in {part.folder for part in parts}
    }
    return [listed[part.folder].get(name, -1) for part in parts for name in part.names]
