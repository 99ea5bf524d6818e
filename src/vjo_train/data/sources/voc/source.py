"""The devkit's layout as a source."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from vjo_train.data.decode import read_mask
from vjo_train.data.index import Index
from vjo_train.data.labels.base import Kind
from vjo_train.data.labels.boxes import Boxes
from vjo_train.data.labels.classes import Classes, ShownByObjects
from vjo_train.data.labels.masks import Masks
from vjo_train.data.labels.semantic import Semantic
from vjo_train.data.sources.base import Source
from vjo_train.data.sources.pictures import by_stem, is_picture
from vjo_train.data.sources.unlisted import made, told
from vjo_train.data.sources.voc import layout
from vjo_train.data.sources.voc.annotation import named
from vjo_train.data.sources.voc.reading import DROPPED, Reading
from vjo_train.errors import DataError
from vjo_train.types import IGNORE


class VOC(Source):
    """`JPEGImages/`, `Annotations/`, `ImageSets/Main/`, and masks for some or all images; see `layout`.

    An image with an annotation is labelled for `classes` and `boxes`, also where it has no objects, and for the masks
    that it has; an image with nothing but a class mask is labelled for `semantic` alone.

    Args:
        boxes: `mend` reads boxes as labelling tools write them (see `mending`), and says what it changed; `strict`
            finds fault with all that the devkit's own do not have.
    """

    kinds: tuple[Kind, ...] = (Classes(), Boxes(), Semantic(), Masks())
    maps: Mapping[str, torch.dtype] = {"semantic": torch.uint8, "masks": torch.uint8}

    def __init__(self, *, boxes: Literal["mend", "strict"] = "mend") -> None:
        self.boxes = boxes

    def root(self, folder: Path) -> Path:
        return layout.find_root(folder)

    def class_names(self, root: Path) -> list[str]:
        """Those of all objects, by the alphabet; files that cannot be read name none."""
        found: set[str] = set()
        for name, _ in _entries(root / layout.ANNOTATIONS):
            if name.endswith(".xml"):
                with suppress(DataError):
                    found |= named(root / layout.ANNOTATIONS / name)
        if not found:
            raise DataError(
                f"{root / layout.ANNOTATIONS}: found no object in any *.xml; dataset.classes must be given."
            )
        return sorted(found)

    def splits(self, root: Path) -> list[str]:
        """Those that have a list, and those made of images in no list (see `unlisted`).

        A made `val` is not among them: it gives way to what `dataset.val_fraction` cuts off.
        """
        listed = layout.split_names(root)
        return sorted({*listed, *(name for name in _made(root) if name != "val")})

    def split(self, root: Path, split: str) -> list[str]:
        if split in layout.split_names(root) or os.path.isfile(layout.list_path(root, split)):
            return layout.read_split(root, split)
        parts = _made(root)
        return parts[split] if split in parts else layout.read_split(root, split, list(parts))

    def unlisted(self, root: Path) -> dict[str, list[str]]:
        return _made(root)

    def split_name(self, root: Path, split: str) -> str:
        path = layout.list_path(root, split)
        return str(path) if os.path.isfile(path) else f"the split '{split}' of images in no list"

    def missing(self, name: str) -> str:
        return f"{layout.ANNOTATIONS}/{name}.xml"

    def stamp(self, root: Path) -> str:
        digest = hashlib.sha256()
        places = {folder: _files(root / folder) for folder in layout.FOLDERS}
        for folder, files in (places | {layout.SPLITS: _lists(root)}).items():
            lines = sorted(f"{name}\0{size}\0{changed}" for name, (size, changed) in files.items())
            digest.update(f"{folder}\n{len(lines)}\n".encode())
            digest.update("\n".join(lines).encode(errors="surrogateescape"))
        return digest.hexdigest()

    def read_index(self, root: Path, classes: Sequence[str]) -> Index:
        listed = {folder: _files(root / folder) for folder in layout.FOLDERS}
        annotated, masked = _labelled(listed)
        ids = sorted(annotated | masked)
        if not ids:
            raise DataError(f"{root / layout.ANNOTATIONS}: found no *.xml; there must be one per image.")
        found = Reading(root, ids, by_stem(listed[layout.IMAGES]))
        found.read(annotated)
        found.check_classes(classes)
        numbers = {name: number for number, name in enumerate(classes)}
        if self.boxes == "strict":
            found.take_as_written(numbers)
        else:
            found.mend(numbers)
        for row, name in enumerate(ids):
            if name not in annotated:
                found.measure(row)
        with suppress(DataError):  # said where the broken list is asked for
            found.notes += [(-1, "made splits", said)] if (said := told(_made(root))) else []
        masks = {
            kind: [_mask(folder, name, listed, annotated) for name in ids] for kind, folder in layout.MASKS.items()
        }
        return found.index(classes, {name: size for name, (size, _) in listed[layout.IMAGES].items()}, masks)

    def read(self, root: Path, index: Index, row: int, kind: str) -> Any:
        if kind == "boxes":
            return index.objects(row)
        if kind == "classes":
            return ShownByObjects(index.objects(row), len(index.classes))
        kept = index.by_image.get(DROPPED)
        dropped = [int(number) for number in str(kept[row]).split()] if kept is not None else []
        highest = len(index.classes) if kind == "semantic" else len(index.objects(row)) + len(dropped)
        mask = read_mask(index.file(root, row, kind), index.size(row), highest, layout.INDICES[kind])
        return without(mask, dropped) if kind == "masks" and dropped else mask


def without(mask: Tensor, dropped: Sequence[int]) -> Tensor:
    """An object mask without the objects `dropped` (sorted numbers from 1): those behind them move up."""
    kept = mask.clone()
    behind = (mask != IGNORE) | (mask.dtype != torch.uint8)
    for number in reversed(dropped):
        kept[mask == number] = 0
        kept[(kept > number) & behind] -= 1
    return kept


def _labelled(listed: Mapping[str, Collection[str]]) -> tuple[set[str], set[str]]:
    """The ids with an annotation, and those with a class mask and a picture; from the files by folder."""
    annotated = {name[:-4] for name in listed[layout.ANNOTATIONS] if name.endswith(".xml")}
    masks = {name[:-4] for name in listed[layout.CLASS_MASKS] if name.endswith(".png")}
    return annotated, masks & by_stem(listed[layout.IMAGES]).keys()


def _mask(folder: str, name: str, listed: Mapping[str, Collection[str]], annotated: set[str]) -> str:
    """The mask of an image in a folder, or nothing: an object mask means nothing without the annotation."""
    there = f"{name}.png" in listed[folder] and (folder == layout.CLASS_MASKS or name in annotated)
    return f"{folder}/{name}.png" if there else ""


def _made(root: Path) -> dict[str, list[str]]:
    """The splits without lists."""
    listed = {name: layout.read_split(root, name) for name in layout.split_names(root)}
    names = {folder: [name for name, _ in _entries(root / folder)] for folder in layout.FOLDERS}
    return made(listed, set().union(*_labelled(names)))


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    """File in a folder or below it -> size in bytes, time of the last change in ns."""
    return {name: _stamp(entry) for name, entry in _entries(folder)}


def _entries(folder: Path, above: str = "") -> Iterator[tuple[str, os.DirEntry[str]]]:
    """The files in a folder and below it, by their paths; hidden folders are left out.

    A folder that is called as a file counts as one: what reads it says what it is.
    """
    if folder.is_dir():
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False) or _is_called_a_file(entry.name):
                    yield above + entry.name, entry
                elif entry.name[0] != ".":
                    yield from _entries(folder / entry.name, f"{above}{entry.name}/")


def _is_called_a_file(name: str) -> bool:
    return name.endswith(".xml") or is_picture(name)


def _lists(root: Path) -> dict[str, tuple[int, int]]:
    return {path.name: _stamp(path) for path in layout.lists(root)}


def _stamp(file: Path | os.DirEntry[str]) -> tuple[int, int]:
    """Size in bytes, time of the last change in ns."""
    try:
        stat = file.stat()
    except OSError:  # a link to nowhere or to itself: what reads it says so
        return -1, 0
    return stat.st_size, stat.st_mtime_ns
