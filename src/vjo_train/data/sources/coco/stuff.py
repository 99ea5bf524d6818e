"""COCO's stuff, the class of every pixel, as a source."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch

from vjo_train.data.decode import read_values
from vjo_train.data.index import Index
from vjo_train.data.labels.base import Kind
from vjo_train.data.labels.semantic import Semantic
from vjo_train.data.sources.coco import layout
from vjo_train.data.sources.coco.annotations import categories
from vjo_train.data.sources.coco.source import COCO
from vjo_train.data.sources.pictures import stamp_of
from vjo_train.errors import DataError
from vjo_train.types import IGNORE

PREFIX = "stuff_"
PIXELS = "_pixelmaps"
"""How the folder beside a file goes on that holds its maps."""
_VALUES = 1 << 16


class CocoStuff(COCO):
    """`annotations/stuff_<split>.json`: segments as run lengths, or PNGs of category ids in `stuff_<split>_pixelmaps/`.

    An image is labelled for `semantic` where it has a PNG, else where the file is one with annotations. Pixels of no
    segment, and of categories that are no class, are background; 255 in a PNG is ignored.

    Args:
        annotations: split -> its JSON file below the root, in the place of those that are found.
        images: split -> the folder of its pictures below the root, in the place of the one that is found.

    Raises:
        DataError: an id means different categories in different files.
    """

    kinds: tuple[Kind, ...] = (Semantic(),)

    def __init__(
        self, *, annotations: Mapping[str, str] | None = None, images: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(annotations=annotations, images=images)

    def root(self, folder: Path) -> Path:
        return layout.checked(folder, PREFIX, self.annotations)

    def class_names_of(self, root: Path, kind: str) -> list[str]:
        return self.class_names(root)

    def parts(self, root: Path) -> list[layout.Part]:
        return layout.parts(root, self._files(root), self.images)

    def _files(self, root: Path) -> Mapping[str, str]:
        """Split -> its file below the root."""
        return self.annotations or layout.files_named(root, PREFIX)

    def stamp(self, root: Path) -> str:
        return f"{super().stamp(root)} {stamp_of(root, self._maps(root).values())}"

    def read_index(self, root: Path, classes: Sequence[str]) -> Index:
        index = super().read_index(root, classes)
        maps = self._maps(root)
        files = np.array([maps.get(name, "") for name in index.ids.tolist()], np.str_)
        files = np.array([file if file and os.path.isfile(root / file) else "" for file in files.tolist()], np.str_)
        names: dict[int, str] = {}
        for part in self.parts(root):
            for key, name in categories(part).items():
                if names.setdefault(key, name) != name:
                    raise DataError(f"{part.file}: category {key} is '{name}', and '{names[key]}' in another file.")
        numbers = {name: number for number, name in enumerate(classes, 1)}
        values = np.zeros(_VALUES, np.uint8)
        values[255] = IGNORE
        values[[key for key in names if 0 <= key < _VALUES]] = [
            numbers.get(name, 0) for key, name in names.items() if 0 <= key < _VALUES
        ]
        return replace(
            index,
            labelled={"semantic": index.labelled["semantic"] | (files != "")},
            files={"semantic": files},
            more={**index.more, "values": values},
        )

    def read(self, root: Path, index: Index, row: int, kind: str) -> Any:
        if not index.files[kind][row]:
            return super().read(root, index, row, kind)
        path = index.file(root, row, kind)
        values = read_values(path, index.size(row)).numpy()
        if values.min() < 0 or values.max() >= _VALUES:
            raise DataError(f"{path}: found the value {values.min()} or {values.max()}; must be the ids of categories.")
        return torch.from_numpy(index.more["values"][values])

    def _maps(self, root: Path) -> dict[str, str]:
        """Id -> where its PNG lies below the root, of files that have such a folder."""
        parts, found = self.parts(root), dict[str, str]()
        for part, ids in zip(parts, layout.ids(parts), strict=True):
            folder = part.file.with_name(f"{part.file.stem}{PIXELS}")
            if folder.is_dir():
                below = folder.relative_to(root).as_posix()
                names = [str(PurePosixPath(name).with_suffix(".png")) for name in part.names]
                found |= {own: f"{below}/{name}" for own, name in zip(ids, names, strict=True)}
        return found
