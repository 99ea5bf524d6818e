"""COCO's panoptic JSON, with a PNG of segments for each picture, as a source."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from vjo_train.data.decode import read_image
from vjo_train.data.index import Index
from vjo_train.data.labels.base import Kind
from vjo_train.data.labels.boxes import Boxes
from vjo_train.data.labels.classes import Classes, ShownByObjects
from vjo_train.data.labels.masks import Masks
from vjo_train.data.labels.semantic import Semantic
from vjo_train.data.sources.coco import layout
from vjo_train.data.sources.coco.files import JsonFiles, check_classes
from vjo_train.data.sources.coco.segments import Read, gathered, things
from vjo_train.types import IGNORE

PREFIX = "panoptic_"


class CocoPanoptic(JsonFiles):
    """`annotations/panoptic_<split>.json`, and beside it `panoptic_<split>/` with PNGs whose colours are segments' ids.

    Every image with an entry is labelled for `semantic`, of all categories, and for `boxes`, `masks` and `classes` of
    those with `isthing`. Crowds are difficult, and ignored in the map of classes; so are pixels of no segment. Segments
    of categories that are no class are background.

    Args:
        annotations: split -> its JSON file below the root, in the place of those that are found. The PNGs lie in the
            folder beside it that is called as the file is.
        images: split -> the folder of its pictures below the root, in the place of the one that is found.
    """

    kinds: tuple[Kind, ...] = (Classes(), Boxes(), Semantic(), Masks())
    maps: Mapping[str, torch.dtype] = {"semantic": torch.uint8, "masks": torch.int16}

    def root(self, folder: Path) -> Path:
        return layout.checked(folder, PREFIX, self.annotations)

    def _files(self, root: Path) -> Mapping[str, str]:
        """Split -> its file below the root."""
        return self.annotations or layout.files_named(root, PREFIX)

    def parts(self, root: Path) -> list[layout.Part]:
        return layout.parts(root, self._files(root), self.images)

    def class_names(self, root: Path) -> list[str]:
        return list(dict.fromkeys(name for part in self.parts(root) for name in things(part)))

    def class_names_of(self, root: Path, kind: str) -> list[str]:
        known = {name: thing for part in self.parts(root) for name, thing in things(part).items()}
        return [name for name, thing in known.items() if thing or kind == "semantic"]

    def stamp(self, root: Path) -> str:
        digest = hashlib.sha256()
        for part in self.parts(root):
            stat = part.file.stat()
            digest.update(f"{part.split}\0{part.file}\0{stat.st_size}\0{stat.st_mtime_ns}\0{part.folder}\n".encode())
            for folder in (root / part.folder, part.file.with_suffix("")):
                for line in sorted(layout.files_below(folder)):
                    digest.update(f"{line}\n".encode(errors="surrogateescape"))
        return digest.hexdigest()

    def read_index(self, root: Path, classes: Sequence[str]) -> Index:
        parts = self.parts(root)
        known = {name for part in parts for name in things(part)}
        check_classes(root, classes, known)
        labels = {name: number for number, name in enumerate(classes)}
        read = [Read(part, names, root, labels) for part, names in zip(parts, layout.ids(parts), strict=True)]
        return gathered(classes, read)

    def read(self, root: Path, index: Index, row: int, kind: str) -> Any:
        objects = index.objects(row)
        if kind == "boxes":
            return objects
        if kind == "classes":
            return ShownByObjects(objects, len(index.classes), index.more["things"])
        span = slice(*index.more["segment_offsets"][row : row + 2].tolist())
        column = "segment_values" if kind == "semantic" else "segment_objects"
        ids, values = index.more["segment_ids"][span], index.more[column][span]
        red, green, blue = read_image(index.file(root, row, kind), None, index.size(row)).numpy().astype(np.int32)
        found = _looked_up(red | (green << 8) | (blue << 16), ids, values, IGNORE if kind == "semantic" else 0)
        return torch.from_numpy(found.astype(np.uint8 if kind == "semantic" else np.int16))


def _looked_up(
    pixels: npt.NDArray[np.int32], ids: npt.NDArray[np.int32], values: npt.NDArray[np.int16], none: int
) -> npt.NDArray[np.integer[Any]]:
    """[H, W] ids -> the value of each; `none` for ids that are not listed."""
    if not len(ids):
        return np.full(pixels.shape, none)
    order = np.argsort(ids, kind="stable")
    places = np.minimum(np.searchsorted(ids[order], pixels), len(ids) - 1)
    return np.where(ids[order][places] == pixels, values[order][places], none)
