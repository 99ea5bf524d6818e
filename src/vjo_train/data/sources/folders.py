"""A folder of pictures for each class."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vjo_train.data.index import Index, table
from vjo_train.data.labels.base import Kind
from vjo_train.data.labels.category import Category
from vjo_train.data.labels.classes import Classes
from vjo_train.data.objects import Objects
from vjo_train.data.sources import pictures
from vjo_train.data.sources.by_split import BySplit, Parts
from vjo_train.data.sources.map_names import of_no_class, without_maps
from vjo_train.data.sources.pictures import is_picture
from vjo_train.data.sources.sizes import measured
from vjo_train.data.sources.split_names import split_in
from vjo_train.errors import DataError
from vjo_train.types import OTHER


@dataclass(frozen=True)
class _Layout:
    """What lies below a root.

    Attributes:
        splits: split -> class -> its pictures, below the root; one split without a name where there are none.
        maps: files that are maps of these pictures, by their names.
    """

    splits: Mapping[str, Mapping[str, Sequence[str]]]
    maps: Sequence[str]

    @property
    def classes(self) -> list[str]:
        return sorted({name for classes in self.splits.values() for name in classes})

    @property
    def parts(self) -> dict[str, list[str]]:
        return {
            split: [picture for own in classes.values() for picture in own] for split, classes in self.splits.items()
        }


class Folders(BySplit):
    """`<split>/<class>/<picture>` or `<class>/<picture>`, as torchvision's ImageFolder and Keras have it.

    Every picture is labelled for `category`, the one class that its folder is named after, and for `classes`. Pictures
    may lie deeper in the folder of their class; hidden files and folders are left out, and so are maps that lie among
    the pictures, such as `a_mask.png` beside `a.png`, or `cat/masks/a.png` beside `cat/images/a.png`. Without folders
    of splits, the pictures are shared out among train, val and test, 8 : 1 : 1, by a hash of their names. An image's id
    is its path.
    """

    kinds: tuple[Kind, ...] = (Classes(), Category())

    def root(self, folder: Path) -> Path:
        if not folder.is_dir():
            raise DataError(f"dataset.root: found no folder {folder}; must hold a folder of pictures for each class.")
        _look(folder)
        return folder

    def class_names(self, root: Path) -> list[str]:
        return _look(root).classes

    def _parts(self, root: Path) -> Parts:
        return _look(root).parts

    def stamp(self, root: Path) -> str:
        return pictures.stamp_of(root, _all(_look(root)))

    def read_index(self, root: Path, classes: Sequence[str]) -> Index:
        found = _look(root)
        shown = {picture: name for parts in found.splits.values() for name, own in parts.items() for picture in own}
        ids = _all(found)
        faults: dict[int, str] = {}
        sizes = [measured(root / picture, row, faults, shown=True) for row, picture in enumerate(ids)]
        numbers = {name: number for number, name in enumerate(classes)}
        own = np.array([numbers.get(shown[picture], OTHER) for picture in ids], np.int16)
        return table(
            classes=classes,
            ids=ids,
            images=ids,
            image_bytes=pictures.bytes_of(root, ids),
            sizes=sizes,
            objects=[Objects.none() for _ in ids],
            labelled={"classes": np.ones(len(ids), np.bool_), "category": own != OTHER},
            faults=faults,
            notes=[(-1, "maps left out", said) for said in _told(found.maps)],
            by_image={"class": own},
        )

    def read(self, root: Path, index: Index, row: int, kind: str) -> Any:
        number = int(index.by_image["class"][row])
        if kind == "category":
            return number
        flags = torch.full((len(index.classes),), -1, dtype=torch.int8)
        if number != OTHER:
            flags[number] = 1
        return flags


def _told(maps: Sequence[str]) -> list[str]:
    return [f"{len(maps)} files are maps of other pictures by their names, and left out: {maps[0]}"] if maps else []


def _all(found: _Layout) -> list[str]:
    return sorted(picture for part in found.parts.values() for picture in part)


def _look(root: Path) -> _Layout:
    """Finds the pictures.

    Raises:
        DataError: there are none in folders.
    """
    folders = _folders(root)
    inner = {name: _folders(root / name) for name in folders}
    no_splits = not any(map(split_in, folders)) and all(map(of_no_class, chain(*inner.values())))
    if no_splits or any(is_picture(entry) for name in folders for entry in os.listdir(root / name)):
        found = {"": {name: pictures.below(root, name) for name in folders}}
    else:
        found = {name: {own: pictures.below(root, f"{name}/{own}") for own in inner[name]} for name in folders}
    if not any(own for classes in found.values() for own in classes.values()):
        raise DataError(f"{root}: found no folders of pictures; must hold <class>/ or <split>/<class>/ with pictures.")
    told = {split: {name: without_maps(own) for name, own in classes.items()} for split, classes in found.items()}
    splits = {split: {name: own for name, (own, _) in classes.items() if own} for split, classes in told.items()}
    maps = [path for classes in told.values() for _, left in classes.values() for path in left]
    return _Layout({split: classes for split, classes in splits.items() if classes}, maps)


def _folders(folder: Path) -> list[str]:
    return sorted(name for name in os.listdir(folder) if (folder / name).is_dir() and not name.startswith("."))
