"""The devkit's layout as a source."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vjo_train.data.decode import read_mask
from vjo_train.data.index import Index, table
from vjo_train.data.labels.base import Kind
from vjo_train.data.labels.boxes import Boxes
from vjo_train.data.labels.classes import Classes, ShownByObjects
from vjo_train.data.labels.masks import Masks
from vjo_train.data.labels.semantic import Semantic
from vjo_train.data.objects import Objects
from vjo_train.data.sources.base import Source
from vjo_train.data.sources.voc import layout
from vjo_train.data.sources.voc.annotation import named, parse
from vjo_train.errors import DataError


class VOC(Source):
    """`JPEGImages/`, `Annotations/`, `ImageSets/Main/`, and masks for some or all images; see `layout`.

    Every image with an annotation is labelled for `classes` and `boxes`, and for the masks that it has.
    """

    kinds: tuple[Kind, ...] = (Classes(), Boxes(), Semantic(), Masks())
    maps: Mapping[str, torch.dtype] = {"semantic": torch.uint8, "masks": torch.uint8}

    def root(self, folder: Path) -> Path:
        return layout.find_root(folder)

    def class_names(self, root: Path) -> list[str]:
        """Those of all objects, by the alphabet; files that cannot be read name none."""
        found: set[str] = set()
        for path in sorted((root / layout.ANNOTATIONS).glob("*.xml")):
            with suppress(DataError):
                found |= named(path)
        if not found:
            raise DataError(
                f"{root / layout.ANNOTATIONS}: found no object in any *.xml; dataset.classes must be given."
            )
        return sorted(found)

    def splits(self, root: Path) -> list[str]:
        return layout.split_names(root)

    def split(self, root: Path, split: str) -> list[str]:
        return layout.read_split(root, split)

    def split_name(self, root: Path, split: str) -> str:
        return str(layout.list_path(root, split))

    def missing(self, name: str) -> str:
        return f"{layout.ANNOTATIONS}/{name}.xml"

    def stamp(self, root: Path) -> str:
        digest = hashlib.sha256()
        for folder in layout.FOLDERS:
            files = _files(root / folder)
            lines = sorted(f"{name}\0{size}\0{changed}" for name, (size, changed) in files.items())
            digest.update(f"{folder}\n{len(lines)}\n".encode())
            digest.update("\n".join(lines).encode(errors="surrogateescape"))
        return digest.hexdigest()

    def read_index(self, root: Path, classes: Sequence[str]) -> Index:
        listed = {folder: _files(root / folder) for folder in layout.FOLDERS}
        ids = sorted(name[:-4] for name in listed[layout.ANNOTATIONS] if name.endswith(".xml"))
        if not ids:
            raise DataError(f"{root / layout.ANNOTATIONS}: found no *.xml; there must be one per image.")
        numbers = {name: number for number, name in enumerate(classes)}
        sizes: list[tuple[int, int]] = []
        objects: list[Objects] = []
        faults: dict[int, str] = {}
        for row, name in enumerate(ids):
            try:
                size, known = parse(root / layout.ANNOTATIONS / f"{name}.xml", numbers)
            except DataError as error:
                size, known = (1, 1), Objects.none()
                faults[row] = str(error)
            sizes.append(size)
            objects.append(known)
        images = listed[layout.IMAGES]
        files = {
            kind: [f"{folder}/{name}.png" if f"{name}.png" in listed[folder] else "" for name in ids]
            for kind, folder in layout.MASKS.items()
        }
        return table(
            classes=classes,
            ids=ids,
            images=[f"{layout.IMAGES}/{name}.jpg" for name in ids],
            image_bytes=[images.get(f"{name}.jpg", (-1, 0))[0] for name in ids],
            sizes=sizes,
            objects=objects,
            labelled={
                **{kind: [bool(path) for path in paths] for kind, paths in files.items()},
                "classes": np.ones(len(ids), np.bool_),
                "boxes": np.ones(len(ids), np.bool_),
            },
            files=files,
            faults=faults,
        )

    def read(self, root: Path, index: Index, row: int, kind: str) -> Any:
        if kind == "boxes":
            return index.objects(row)
        if kind == "classes":
            return ShownByObjects(index.objects(row), len(index.classes))
        highest = len(index.classes) if kind == "semantic" else len(index.objects(row))
        return read_mask(index.file(root, row, kind), index.size(row), highest, layout.INDICES[kind])


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    """File name -> size in bytes, time of the last change in ns."""
    files: dict[str, tuple[int, int]] = {}
    if folder.is_dir():
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    stat = entry.stat()
                except OSError:  # a link to nowhere or to itself: what reads it says so
                    files[entry.name] = (-1, 0)
                else:
                    files[entry.name] = (stat.st_size, stat.st_mtime_ns)
    return files
