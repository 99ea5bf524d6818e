"""VOC's annotations beside their pictures, a folder for each split, as Roboflow exports them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from vjo_train.data.index import Index
from vjo_train.data.labels.base import Kind
from vjo_train.data.labels.boxes import Boxes
from vjo_train.data.labels.classes import Classes, ShownByObjects
from vjo_train.data.sources.by_split import BySplit
from vjo_train.data.sources.guess.folders import looks_like
from vjo_train.data.sources.pictures import bytes_of, is_picture, stamp_of, stem
from vjo_train.data.sources.voc.annotation import named
from vjo_train.data.sources.voc.reading import Reading
from vjo_train.data.sources.voc.source import VOC
from vjo_train.errors import DataError


class Beside(BySplit, VOC):
    """`train/a.jpg` with `train/a.xml`, and so in `valid/` and `test/`; or all in the root, shared out 8 : 1 : 1.

    A picture without an annotation is not labelled.

    Args:
        boxes: as of `VOC`.
    """

    kinds: tuple[Kind, ...] = (Classes(), Boxes())
    maps: Mapping[str, torch.dtype] = {}

    def root(self, folder: Path) -> Path:
        if not folder.is_dir():
            raise DataError(f"dataset.root: found no folder {folder}; it must hold XML files beside pictures.")
        if not any(_names(folder, ".xml")):
            what = f"dataset.root: {folder} holds no XML file beside a picture, nor does a folder in it."
            raise DataError(what + looks_like(folder))
        return folder

    def class_names(self, root: Path) -> list[str]:
        found: set[str] = set()
        for name in _names(root, ".xml"):
            with suppress(DataError):
                found |= named(root / f"{name}.xml")
        if not found:
            raise DataError(f"{root}: found no object in any *.xml; dataset.classes must be given.")
        return sorted(found)

    def _parts(self, root: Path) -> dict[str, list[str]]:
        parts: dict[str, list[str]] = {}
        for name in _pictures(root):
            parts.setdefault(os.path.dirname(name), []).append(name)
        return parts

    def split_name(self, root: Path, split: str) -> str:
        return f"split '{split}'"

    def missing(self, name: str) -> str:
        return f"picture of the name {name}"

    def stamp(self, root: Path) -> str:
        folders = _folders(root)
        inner = [os.path.join(folder, name) for folder in ("", *folders) for name in os.listdir(root / folder)]
        return stamp_of(root, sorted({*inner} - {*folders}))

    def read_index(self, root: Path, classes: Sequence[str]) -> Index:
        pictures = _pictures(root)
        annotated = set(_names(root, ".xml")) & pictures.keys()
        found = Reading(root, sorted(pictures), pictures, images="", annotations="")
        found.read(annotated)
        found.check_classes(classes)
        numbers = {name: number for number, name in enumerate(classes)}
        if self.boxes == "strict":
            found.take_as_written(numbers)
        else:
            found.mend(numbers)
        for row, name in enumerate(found.ids):
            if name not in annotated:
                found.measure(row)
        images = [image for files in pictures.values() for image in files]
        sizes = dict(zip(images, bytes_of(root, images), strict=True))
        return found.index(classes, sizes, {})

    def read(self, root: Path, index: Index, row: int, kind: str) -> Any:
        objects = index.objects(row)
        return objects if kind == "boxes" else ShownByObjects(objects, len(index.classes))


def _folders(root: Path) -> list[str]:
    return sorted(name for name in os.listdir(root) if (root / name).is_dir() and not name.startswith("."))


def _pictures(root: Path) -> dict[str, list[str]]:
    """Id, such as `train/a` -> its pictures, below the root; those of the root only where no folder has any."""
    found: dict[str, list[str]] = {}
    for folder in (*_folders(root), ""):
        if folder or not found:
            for name in sorted(os.listdir(root / folder)):
                if is_picture(name) and not name.startswith("."):
                    found.setdefault(os.path.join(folder, stem(name)), []).append(os.path.join(folder, name))
    return found


def _names(root: Path, ending: str) -> list[str]:
    """Files of an ending that have a picture beside them, without it."""
    return [name for name in _pictures(root) if (root / f"{name}{ending}").is_file()]
