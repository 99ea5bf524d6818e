"""What the layouts of annotation tools share: pictures, and files that say which objects they show."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vjo_train.data.index import Index
from vjo_train.data.labels.base import Kind
from vjo_train.data.labels.boxes import Boxes
from vjo_train.data.labels.classes import Classes
from vjo_train.data.labels.masks import Masks
from vjo_train.data.labels.semantic import Semantic
from vjo_train.data.sources.by_split import BySplit
from vjo_train.data.sources.coco.painting import label_of
from vjo_train.data.sources.guess.folders import looks_like
from vjo_train.data.sources.objects.finding import Finder, pictures_in
from vjo_train.data.sources.objects.gathering import Gathering
from vjo_train.data.sources.objects.placing import Placed, placed
from vjo_train.data.sources.objects.records import EVERY, Read
from vjo_train.data.sources.pictures import stamp_of
from vjo_train.data.sources.unlisted import made
from vjo_train.errors import DataError


class ObjectFiles(BySplit):
    """Pictures and the files of their objects, found wherever they lie below the root.

    Every picture that a file names is labelled for `classes` and `boxes`; where outlines are there, for `masks` and
    `semantic` too, if all its objects have one. Pictures that no file names are left out. Splits are those that the
    files or their folders say; where there are none, or one alone, the pictures are shared out among train, val and
    test, 8 : 1 : 1, by a hash of their paths. An image's id is its path below the root.

    Args:
        images: the folder that pictures are looked for in, below the root.
    """

    kinds: tuple[Kind, ...] = (Classes(), Boxes(), Semantic(), Masks())
    maps: Mapping[str, torch.dtype] = {"semantic": torch.uint8}
    what: str
    """The files that hold the objects, for messages."""
    remedy: str = ""
    """What to do where several files hold objects of one picture."""

    def __init__(self, *, images: str = ".") -> None:
        self.images = images

    @abstractmethod
    def files(self, root: Path) -> list[Path]:
        """The files that say which objects there are, sorted."""

    @abstractmethod
    def records(self, root: Path, files: Sequence[Path]) -> Read:
        """Reads them.

        Raises:
            DataError: a file of many pictures is broken. What is wrong with one picture is its record's fault.
        """

    def root(self, folder: Path) -> Path:
        if not folder.is_dir():
            raise DataError(f"dataset.root: found no folder {folder}; must hold {self.what}.")
        if not self.files(folder):
            raise DataError(f"dataset.root: {folder} holds no {self.what}." + looks_like(folder))
        return folder

    def class_names(self, root: Path) -> list[str]:
        """In the order that the files say, or by the alphabet."""
        read, _ = self._read(root)
        counts = Counter(thing.name for picture in read.pictures for thing in picture.things)
        found = [*read.names, *sorted({*counts} - {*read.names, EVERY, ""})]
        if not found:
            if faults := [picture.fault for picture in read.pictures if picture.fault]:
                raise DataError(f"{root}: found no class, since {len(faults)} pictures are faulty. {faults[0]}")
            raise DataError(f"{root}: its objects name no class; dataset.classes=[NAME] gives them one.")
        return found

    def _read(self, root: Path) -> tuple[Read, list[Placed]]:
        """All records and their pictures, kept until a file changes."""
        files = self.files(root)
        if not files:
            raise DataError(f"{root}: holds no {self.what}.")
        pictures = "\n".join(pictures_in(root, self.images)).encode(errors="surrogateescape")
        return _kept(self, root, f"{stamp_of(root, map(str, files))} {sha256(pictures).hexdigest()}")

    def _parts(self, root: Path) -> dict[str, list[str]]:
        """Split -> its images; nothing for a split where none is told from another."""
        return _by_split(self._read(root)[1])

    def stamp(self, root: Path) -> str:
        files = [str(file) for file in self.files(root)]
        return f"{stamp_of(root, files)} {stamp_of(root, pictures_in(root, self.images))}"

    def read_index(self, root: Path, classes: Sequence[str]) -> Index:
        _, found = self._read(root)
        if not found:
            raise DataError(f"{root}: {self.what} name no picture.")
        index = Gathering(root, found, classes).index()
        said = [*_of_splits(found), *self._of_others(root, len(found))]
        return replace(
            index,
            labelled={kind.name: index.labelled[kind.name] for kind in self.kinds},
            noted=np.concatenate([index.noted, np.full(len(said), -1, np.int64)]),
            notes=np.concatenate([index.notes, np.asarray(said, np.str_).reshape(-1, 2)]),
        )

    def _of_others(self, root: Path, known: int) -> list[tuple[str, str]]:
        """What to say of pictures that no file names."""
        count = len(pictures_in(root, self.images)) - known
        return [("not annotated", f"{count} pictures are in no file of objects, and left out")] if count > 0 else []

    def read(self, root: Path, index: Index, row: int, kind: str) -> Any:
        return label_of(index, row, kind)


@lru_cache(4)
def _kept(source: ObjectFiles, root: Path, stamp: str) -> tuple[Read, list[Placed]]:
    read = source.records(root, source.files(root))
    return read, placed(root, Finder(root, source.images), read.pictures, source.remedy)


def _by_split(found: Sequence[Placed]) -> dict[str, list[str]]:
    """See `ObjectFiles._parts`."""
    parts: dict[str, list[str]] = {}
    for one in found:
        parts.setdefault(one.picture.split, []).append(one.path)
    return {"": [path for own in parts.values() for path in own]} if len(parts) == 1 or "" in parts else parts


def _of_splits(found: Sequence[Placed]) -> list[tuple[str, str]]:
    """What to say where the splits are made."""
    parts = _by_split(found)
    if "" not in parts:
        return []
    counts = [f"{name} ({len(own)})" for name, own in made({}, parts[""]).items() if name != "trainval"]
    silent = sum(not one.picture.split for one in found)
    alike = silent in (0, len(found))
    said = "nothing tells splits apart" if alike else f"{silent} pictures are in no split, and so all"
    return [("made splits", f"{said}: shared out by a hash of the paths: {', '.join(counts)}")]
