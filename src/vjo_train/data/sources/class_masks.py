"""Pictures with a map for each class, which says where it is: lesions, organs, what labelling tools export by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Len

from vjo_train.data.decode import is_lossy
from vjo_train.data.index import Index, table
from vjo_train.data.objects import Objects
from vjo_train.data.sources.map_reading import other_sizes, read_map, read_objects
from vjo_train.data.sources.mask_files import MaskFiles, check_file_name, check_some
from vjo_train.data.sources.pictures import bytes_of, stamp_of
from vjo_train.data.sources.sizes import measured

MAPS = "maps"
"""In `Index.by_image`: [I, P], the file of each class, below the root, or nothing."""


class ClassMasks(MaskFiles):
    """`images/a.png` with `left/a.png` and `right/a.png`: what is not black there is of that class.

    A picture is labelled for `semantic` where some of its maps are there; a class without a map is not in the picture.
    Where classes overlap, those that `masks` names later are on top. Splits and pictures are found as by `MaskFiles`.

    Args:
        images: as of `MaskFiles`.
        masks: class name -> file of a picture's map, below the root, with `{stem}` or `{name}` as of `MaskFiles`.

    Raises:
        ConfigError: a file without either, or without `{split}` where `images` has it.
    """

    def __init__(self, *, images: str = "images", masks: Annotated[Mapping[str, str], Len(1)]) -> None:
        super().__init__(images=images, masks=next(iter(masks.values())))
        for name, file in masks.items():
            check_file_name(f"masks.{name}", file, images)
        self.by_class = dict(masks)

    def class_names(self, root: Path) -> list[str]:
        return list(self.by_class)

    def patterns(self) -> list[str]:
        return list(self.by_class.values())

    def _maps(self, root: Path) -> dict[str, dict[str, str]]:
        """Picture -> class -> its map, where that is there."""
        found: dict[str, dict[str, str]] = {}
        for name, file in self.by_class.items():
            for picture, own in self.beside(root, file):
                found.setdefault(picture, {}).update({name: own} if (root / own).is_file() else {})
        return found

    def stamp(self, root: Path) -> str:
        maps = self._maps(root)
        return stamp_of(root, [path for picture, own in sorted(maps.items()) for path in (picture, *own.values())])

    def read_index(self, root: Path, classes: Sequence[str]) -> Index:
        maps = self._maps(root)
        ids = sorted(maps)
        faults: dict[int, str] = {}
        sizes = [measured(root / picture, row, faults) for row, picture in enumerate(ids)]
        sound = [row for row in range(len(ids)) if row not in faults]
        there = [(row, root / file, sizes[row]) for row in sound for file in maps[ids[row]].values()]
        index = table(
            classes=classes,
            ids=ids,
            images=ids,
            image_bytes=bytes_of(root, ids),
            sizes=sizes,
            objects=[Objects.none() for _ in ids],
            labelled={"semantic": [bool(maps[picture]) for picture in ids]},
            faults=faults,
            notes=other_sizes(there),
            by_image={MAPS: np.array([[maps[picture].get(name, "") for name in classes] for picture in ids], np.str_)},
        )
        check_some(root, index, [own for _, own in self.beside(root, self.masks)])
        return index

    def read(self, root: Path, index: Index, row: int, kind: str) -> Any:
        size = index.size(row)
        found = torch.zeros(size, dtype=torch.uint8)
        files = dict(zip(index.classes.tolist(), index.by_image[MAPS][row].tolist(), strict=True))
        for name in (name for name in self.by_class if files.get(name)):
            path = root / files[name]
            values = read_map(path, size, lossy=True) if is_lossy(path) else torch.from_numpy(read_objects(path, size))
            found[values > 0] = index.classes.tolist().index(name) + 1
        return found
