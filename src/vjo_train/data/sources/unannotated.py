"""Pictures without any annotation, as a part of a mixture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vjo_train.data.index import Index, table
from vjo_train.data.labels.base import Kind
from vjo_train.data.objects import Objects
from vjo_train.data.sources import pictures
from vjo_train.data.sources.base import Source
from vjo_train.data.sources.sizes import measured
from vjo_train.errors import DataError

SPLIT = "train"


class Unannotated(Source):
    """All pictures below a folder, in the split `train`; no picture is labelled for any task.

    They teach where `semi` is set. Hidden files and folders are left out. An image's id is its path.
    """

    kinds: tuple[Kind, ...] = ()

    def root(self, folder: Path) -> Path:
        if not folder.is_dir():
            raise DataError(f"root: found no folder {folder}; must be a folder of pictures.")
        if not pictures.below(folder):
            raise DataError(f"{folder}: found no pictures in it or below.")
        return folder

    def class_names(self, root: Path) -> list[str]:
        return []

    def splits(self, root: Path) -> list[str]:
        return [SPLIT]

    def split(self, root: Path, split: str) -> list[str]:
        if split != SPLIT:
            raise DataError(f"{root}: there is no split '{split}'; pictures without annotations are in '{SPLIT}'.")
        return pictures.below(root)

    def stamp(self, root: Path) -> str:
        return pictures.stamp_of(root, pictures.below(root))

    def read_index(self, root: Path, classes: Sequence[str]) -> Index:
        ids = pictures.below(root)
        faults: dict[int, str] = {}
        return table(
            classes=classes,
            ids=ids,
            images=ids,
            image_bytes=pictures.bytes_of(root, ids),
            sizes=[measured(root / picture, row, faults, shown=True) for row, picture in enumerate(ids)],
            objects=[Objects.none() for _ in ids],
            labelled={},
            faults=faults,
        )

    def read(self, root: Path, index: Index, row: int, kind: str) -> Any:
        raise DataError(f"{index.images[row]}: is not labelled with {kind}.")
