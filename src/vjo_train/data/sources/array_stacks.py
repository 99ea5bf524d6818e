"""All pictures of a split in one array, and their labels in another: MedMNIST, PanNuke."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt
import torch

from vjo_train.data import stacks
from vjo_train.data.array_files import as_whole, read_array
from vjo_train.data.decode import read_size
from vjo_train.data.index import Index, table
from vjo_train.data.labels.base import Kind
from vjo_train.data.labels.boxes import Boxes
from vjo_train.data.labels.category import Category
from vjo_train.data.labels.classes import Classes, ShownByObjects
from vjo_train.data.labels.masks import Masks
from vjo_train.data.labels.semantic import Semantic
from vjo_train.data.objects import Objects
from vjo_train.data.sources.by_split import BySplit
from vjo_train.data.sources.instance_files import box_around
from vjo_train.data.sources.pictures import bytes_of, stamp_of
from vjo_train.data.stacks import SPLIT
from vjo_train.errors import ConfigError, DataError


class ArrayStacks(BySplit):
    """Arrays of NumPy with one entry for each picture. An image's id is its array and its number there.

    With `labels`, every picture is labelled for `classes`, and for `category` where it shows one class; with `objects`
    for `classes`, `boxes`, `masks` and `semantic`, where classes that `dataset.classes` names later are on top.

    Args:
        images: the pictures [N, H, W], [N, H, W, 1] or [N, H, W, 3], bytes or floats to 1 or 255, below the root: a
            `.npy` file, or a member of an `.npz` file, such as `pathmnist.npz/{split}_images`. `{split}` is the name of
            a split, wherever it stands; without it the pictures are shared out among train, val and test, 8 : 1 : 1.
        labels: the classes of each picture: its number from 0 or its name, [N] or [N, 1]; or [N, C], above 0 where it
            is there.
        objects: the objects of each picture [N, H, W, M]: their numbers, 0 for none, in a map for each class; maps
            behind those of `dataset.classes`, such as of the background, are left out.

    Raises:
        ConfigError: `labels` and `objects` are both given, or one lacks `{split}` where `images` has it.
    """

    def __init__(self, *, images: str = "images.npy", labels: str | None = None, objects: str | None = None) -> None:
        if labels is not None and objects is not None:
            raise ConfigError("dataset.source.labels: found it beside objects; a join reads both (docs/data/join.md).")
        self.beside = labels or objects or ""
        if self.beside and SPLIT in images and SPLIT not in self.beside:
            raise ConfigError(f"dataset.source: found '{self.beside}' beside '{images}'; must hold {SPLIT} too.")
        self.images, self.has_labels = images, objects is None
        own = (Category(),) if self.has_labels else (Boxes(), Semantic(), Masks())
        self.kinds: tuple[Kind, ...] = (Classes(), *own)

    def root(self, folder: Path) -> Path:
        if not self.beside:
            raise DataError("dataset.source.labels, dataset.source.objects: one of them must name an array.")
        if not stacks.named(folder, self.images):
            raise DataError(f"dataset.source.images: found no {folder / self.images}; must be an array of pictures.")
        return folder

    def _parts(self, root: Path) -> dict[str, list[str]]:
        arrays = stacks.named(root, self.images)
        counts = {split: len(stacks.array(root, name)) for split, name in arrays.items()}
        return {split: [f"{name}/{number:06}" for number in range(counts[split])] for split, name in arrays.items()}

    def class_names(self, root: Path) -> list[str]:
        values = [self._beside(root, split) for split in stacks.named(root, self.images)] if self.has_labels else []
        if not values or any(own.dtype.kind != "U" for own in values):
            raise DataError(f"dataset.classes: {root} names no classes; give them in the order of their numbers.")
        return sorted({str(name) for own in values for name in own.ravel()})

    def stamp(self, root: Path) -> str:
        arrays = stacks.named(root, self.images)
        names = [name for split in arrays for name in (arrays[split], self.beside.replace(SPLIT, split))]
        return f"{' '.join(names)} {stamp_of(root, [stacks.divided(name)[0] for name in names])}"

    def _beside(self, root: Path, split: str) -> npt.NDArray[Any]:
        """[N, ...]: the labels or objects of a split.

        Raises:
            DataError: they cannot be read, or are not as many as pictures.
        """
        name, images = self.beside.replace(SPLIT, split), self.images.replace(SPLIT, split)
        found, count = stacks.array(root, name), len(stacks.array(root, images))
        if len(found) != count:
            raise DataError(f"{root / name}: found {len(found)} entries for the {count} pictures of {images}.")
        return found

    def read_index(self, root: Path, classes: Sequence[str]) -> Index:
        places = sorted((name, split) for split, names in self._parts(root).items() for name in names)
        ids = [name for name, _ in places]
        faults: dict[int, str] = {}
        arrays = stacks.named(root, self.images)
        size_of = {split: read_size(root / name / "0") for split, name in arrays.items()}
        sizes = [size_of[split] for _, split in places]
        beside = {split: self._beside(root, split) for split in arrays}
        labelled = {kind.name: np.ones(len(ids), np.bool_) for kind in self.kinds}
        if self.has_labels:
            known = {split: self._flags(root, split, values, classes) for split, values in beside.items()}
            flags = [known[split][int(name.rpartition("/")[2])] for name, split in places]
            by_image = {"flags": np.array(flags, np.int8).reshape(len(ids), len(classes))}
            labelled["category"] = (by_image["flags"] == 1).sum(axis=1) == 1
            objects = [Objects.none() for _ in ids]
        else:
            maps = [f"{self.beside.replace(SPLIT, split)}/{name.rpartition('/')[2]}" for name, split in places]
            with ThreadPoolExecutor(os.cpu_count()) as threads:
                found = list(threads.map(partial(_objects, root, len(classes)), maps, sizes))
            for row, (_, _, fault) in enumerate(found):
                if fault:
                    faults.setdefault(row, fault)
            objects = [own for own, _, _ in found]
            by_image = {"maps": np.array(maps, np.str_), "pixels": np.array([own for _, own, _ in found], np.uint32)}
        files = [stacks.divided(self.images.replace(SPLIT, split))[0] for _, split in places]
        return table(
            classes=classes,
            ids=ids,
            images=ids,
            image_bytes=bytes_of(root, files),
            sizes=sizes,
            objects=objects,
            labelled=labelled,
            faults=faults,
            notes=[] if self.has_labels else list(_left_out(beside.values(), len(classes))),
            by_image=by_image,
        )

    def _flags(self, root: Path, split: str, values: npt.NDArray[Any], classes: Sequence[str]) -> npt.NDArray[np.int8]:
        """[N, C]: 1 there, -1 not there."""
        where = root / self.beside.replace(SPLIT, split)
        values = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
        if values.ndim == 2 and values.shape[1] == len(classes) and values.dtype.kind in "bui":
            return np.where(values > 0, 1, -1).astype(np.int8)
        if values.ndim != 1 or values.dtype.kind not in "uiU":
            said = f"found {values.dtype} of shape {list(values.shape)}; must be numbers or names of classes [N]"
            raise DataError(f"{where}: {said}, or 0 and 1 for the {len(classes)} of dataset.classes.")
        if values.dtype.kind != "U" and len(values) and not 0 <= values.min() <= values.max() < len(classes):
            said = f"found the classes {values.min()} to {values.max()}"
            raise DataError(f"{where}: {said}; dataset.classes has {len(classes)}, from 0 on.")
        names = np.asarray(list(classes)) if values.dtype.kind == "U" else np.arange(len(classes))
        return np.where(values[:, None] == names, 1, -1).astype(np.int8)

    def read(self, root: Path, index: Index, row: int, kind: str) -> Any:
        objects, classes = index.objects(row), len(index.classes)
        if kind == "boxes":
            return objects
        if self.has_labels:
            flags = index.by_image["flags"][row]
            return int(flags.argmax()) if kind == "category" else torch.from_numpy(flags.copy())
        if kind == "classes":
            return ShownByObjects(objects, classes)
        masks, labels = _masks(root / str(index.by_image["maps"][row]), index.size(row), classes)
        if kind == "masks":
            return torch.from_numpy(masks)
        found = np.zeros(index.size(row), np.uint8)
        for mask, label in zip(masks, labels.tolist(), strict=True):
            found[mask] = label + 1
        return torch.from_numpy(found)


def _left_out(maps: Iterable[npt.NDArray[Any]], classes: int) -> Iterator[tuple[int, str, str]]:
    """A note where pictures have more maps than there are classes."""
    more = max((own.shape[3] for own in maps if own.ndim == 4), default=0) - classes
    if more > 0:
        yield -1, "maps left out", f"{more} maps of each picture behind those of dataset.classes are left out"


def _objects(root: Path, classes: int, maps: str, size: tuple[int, int]) -> tuple[Objects, int, str]:
    """The objects of a picture, a print of their pixels, and what is wrong with their maps."""
    try:
        masks, labels = _masks(root / maps, size, classes)
    except DataError as error:
        return Objects.none(), 0, str(error)
    boxes = np.array([box_around(*np.nonzero(mask)) for mask in masks], np.float32).reshape(-1, 4)
    return Objects(boxes, labels, np.zeros(len(labels), np.bool_)), crc32(np.packbits(masks).tobytes()), ""


def _masks(path: Path, size: tuple[int, int], classes: int) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """The pixels [n, H, W] and classes [n] of the objects of a picture, class by class.

    Raises:
        DataError: the maps cannot be read, are of another size or hold no whole numbers, or a class has none.
    """
    maps = read_array(path, None, size)
    if maps.shape[2] < classes:
        raise DataError(f"{path}: found {maps.shape[2]} maps; must be one for each of the {classes} dataset.classes.")
    values = as_whole(path, maps[..., :classes])
    pairs = [(label, number) for label in range(classes) for number in np.unique(values[..., label]) if number > 0]
    masks = [values[..., label] == number for label, number in pairs]
    return np.array(masks, np.bool_).reshape(-1, *size), np.array([label for label, _ in pairs], np.int64)
