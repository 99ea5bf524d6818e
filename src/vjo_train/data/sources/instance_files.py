"""Pictures with the pixels of each object: a map of their numbers, or a PNG for each of them."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from zlib import crc32

import numpy as np
import numpy.typing as npt
import torch
from annotated_types import Ge, Interval

from vjo_train.data.index import Index, table
from vjo_train.data.labels.base import Kind
from vjo_train.data.labels.boxes import Boxes
from vjo_train.data.labels.classes import Classes, ShownByObjects
from vjo_train.data.labels.masks import Masks
from vjo_train.data.labels.semantic import Semantic
from vjo_train.data.mat_files import is_mat
from vjo_train.data.objects import Objects
from vjo_train.data.sources.map_reading import other_sizes, read_map, read_objects
from vjo_train.data.sources.mask_files import MaskFiles, check_file_name, check_some
from vjo_train.data.sources.pictures import bytes_of, stamp_of
from vjo_train.data.sources.sizes import measured
from vjo_train.errors import ConfigError, DataError
from vjo_train.types import IGNORE

_SPREAD = 1 << 20
"""Between the least and the greatest value of a map that are counted one by one."""


class InstanceFiles(MaskFiles):
    """Pictures in one folder, or one for each split, and their objects in another: nuclei and other home-made sets.

    A picture is labelled for `masks`, `boxes`, `classes` and `semantic` where its map is there, or the folder of its
    objects' files, which may be empty: nothing is there. Boxes and the semantic map are those of the pixels. Files that
    are an object's are no pictures. Splits are as in `MaskFiles`.

    Args:
        images: folder of the pictures, below the root, such as `images` or `images/{split}`.
        objects: below the root, with `{stem}` and perhaps `{split}` as in `MaskFiles`: the file of a picture's map,
            whose values are the numbers of objects, 0 for none (8, 16 or 32 bits, RGB as R + 256 G + 65536 B, `.npy`
            or `.mat`); or with `*` the files of its objects, where an object has the values above 0. `..` goes a folder
            up, as in `{stem}/../../masks/*.png` for a picture `a/images/a.png`.
        divisor: a value of a map, divided by this, is the number of the object's class, from 1. None: there is one
            class.
        ignore: values of a map that are no object.
        variable: the variable of a `.mat` file that is the map; None: the only one.
        class_variable: that which holds the class of each pixel, from 1: an object is of the class of most of its own.

    Raises:
        ConfigError: `objects` lacks `{stem}`, or `{split}` where `images` has it; it holds `*` beside a divisor; a
            class variable beside a divisor, or for other files than `.mat`.
    """

    kinds: tuple[Kind, ...] = (Classes(), Boxes(), Semantic(), Masks())
    maps: Mapping[str, torch.dtype] = {}

    def __init__(
        self,
        *,
        images: str = "images",
        objects: str = "masks/{stem}.png",
        divisor: Annotated[int, Ge(2)] | None = None,
        ignore: Sequence[Annotated[int, Interval(ge=-1)]] = (),
        variable: str | None = None,
        class_variable: str | None = None,
    ) -> None:
        check_file_name("objects", objects, images)
        if "*" in objects and divisor is not None:
            raise ConfigError(
                "dataset.source.divisor: is for maps of numbers; objects with a file each are of one class."
            )
        if class_variable is not None and (divisor is not None or not is_mat(objects)):
            found = f"beside divisor={divisor}" if divisor is not None else f"with objects={objects}"
            raise ConfigError(f"dataset.source.class_variable: found it {found}; is for *.mat files without a divisor.")
        super().__init__(images=images, masks=objects, ignore=ignore, variable=variable)
        self.divisor, self.class_variable = divisor, class_variable

    def class_names(self, root: Path) -> list[str]:
        raise DataError(f"dataset.classes: {root} names no classes; give them, such as [nucleus].")

    def stamp(self, root: Path) -> str:
        pairs = self.pairs(root)
        folders = {os.path.dirname(objects) for _, objects in pairs if "*" in objects}
        files = [file for picture, objects in pairs for file in (picture, *_files(root, objects))]
        return stamp_of(root, [*sorted(folders), *files])

    def read_index(self, root: Path, classes: Sequence[str]) -> Index:
        if len(classes) > 1 and self.divisor is None and self.class_variable is None:
            raise DataError(
                f"dataset.classes: found {len(classes)}; without dataset.source.divisor (or class_variable, of *.mat) "
                "all objects are of one class."
            )
        pairs = self.pairs(root)
        faults: dict[int, str] = {}
        sizes = [measured(root / picture, row, faults) for row, (picture, _) in enumerate(pairs)]
        there = [_is_there(root, objects) for _, objects in pairs]
        read = partial(self._read_objects, root, len(classes))
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            asked = [(objects, size, known) for (_, objects), size, known in zip(pairs, sizes, there, strict=True)]
            found = list(threads.map(lambda one: read(*one), asked))
        for row, (_, _, fault) in enumerate(found):
            if fault and row not in faults:
                faults[row] = fault
        sound = [(row, objects) for row, (_, objects) in enumerate(pairs) if row not in faults]
        files = ((row, root / file, sizes[row]) for row, objects in sound for file in _files(root, objects))
        ids = [picture for picture, _ in pairs]
        index = table(
            classes=classes,
            ids=ids,
            images=ids,
            image_bytes=bytes_of(root, ids),
            sizes=sizes,
            objects=[objects for objects, _, _ in found],
            labelled={kind.name: there for kind in self.kinds},
            faults=faults,
            notes=other_sizes(files, self.variable),
            by_image={
                "object_files": np.array([objects for _, objects in pairs], np.str_),
                "pixels": np.array([print_ for _, print_, _ in found], np.uint32),
            },
        )
        check_some(root, index, [objects for _, objects in pairs])
        return index

    def _read_objects(
        self, root: Path, classes: int, files: str, size: tuple[int, int], known: bool
    ) -> tuple[Objects, int, str]:
        """The objects of a picture, a print of their pixels, and what is wrong with its files."""
        if not known:
            return Objects.none(), 0, ""
        try:
            labels, content = self._pixels(root, files, size)
        except DataError as error:
            return Objects.none(), 0, str(error)
        if wrong := [label for label in labels.tolist() if not 0 <= label < classes]:
            what = f"found an object of class {wrong[0] + 1} by its value; there are {classes}"
            key = "divisor" if self.class_variable is None else "class_variable"
            return Objects.none(), 0, f"{root / files}: {what} (dataset.source.{key}, dataset.classes)."
        boxes = (
            boxes_around(np.maximum(content, 0), len(labels))
            if content.ndim == 2
            else np.array([box_around(*np.nonzero(mask)) for mask in content], np.float32).reshape(-1, 4)
        )
        return Objects(boxes, labels, np.zeros(len(labels), np.bool_)), crc32(content.tobytes()), ""

    def _pixels(self, root: Path, files: str, size: tuple[int, int]) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
        """Labels [N], and pixels: a map [H, W] int16, k + 1 object k, -1 ignored; or [N, H, W] bool."""
        if "*" in files:
            own = [read_map(root / file, size, lossy=True).numpy() > 0 for file in _files(root, files)]
            stack = (
                np.stack([mask for mask in own if mask.any()]) if any(map(np.any, own)) else np.empty((0, *size), bool)
            )
            return np.zeros(len(stack), np.int64), stack
        values = read_objects(root / files, size, self.variable)
        ignored = np.isin(values, self.ignore)
        values[ignored] = 0
        numbers, places = _numbered(values)
        places = places + (0 if numbers[0] == 0 else 1)
        numbers = numbers[numbers != 0]
        if len(numbers) > np.iinfo(np.int16).max - 1:
            raise DataError(
                f"{root / files}: found {len(numbers)} objects; must be at most {np.iinfo(np.int16).max - 1}."
            )
        labels = np.zeros(len(numbers), np.int64) if self.divisor is None else numbers // self.divisor - 1
        if self.class_variable is not None:
            labels = _classes_of(places, len(numbers), read_objects(root / files, size, self.class_variable))
        places[ignored] = -1
        return labels.astype(np.int64), places.astype(np.int16)

    def read(self, root: Path, index: Index, row: int, kind: str) -> Any:
        objects = index.objects(row)
        if kind == "boxes":
            return objects
        if kind == "classes":
            return ShownByObjects(objects, len(index.classes))
        labels, pixels = self._pixels(root, str(index.by_image["object_files"][row]), index.size(row))
        if kind == "masks":
            return torch.from_numpy(pixels)
        if pixels.ndim == 3:
            return torch.from_numpy(pixels.any(0).astype(np.uint8))
        return torch.from_numpy(np.concatenate([[0], labels + 1, [IGNORE]]).astype(np.uint8)[pixels])  # the last is -1

    def _parts(self, root: Path) -> dict[str, list[str]]:
        """As of `MaskFiles`, without the files that are an object's."""
        parts = super()._parts(root)
        owned: set[str] = set()
        for split, pictures in parts.items():
            patterns = {self.of(picture, split, self.masks) for picture in pictures}
            owned |= {file for pattern in patterns for file in _files(root, pattern)}
        left = {split: [name for name in pictures if name not in owned] for split, pictures in parts.items()}
        return {split: pictures for split, pictures in left.items() if pictures}


def _files(root: Path, pattern: str) -> list[str]:
    """The files of a picture's objects that are there, by their names."""
    if "*" not in pattern:
        return [pattern] if (root / pattern).is_file() else []
    folder, name = os.path.split(pattern)
    try:
        names = os.listdir(root / folder)
    except OSError:
        return []
    return [f"{folder}/{one}" for one in sorted(fnmatch.filter(names, name)) if not one.startswith(".")]


def _is_there(root: Path, pattern: str) -> bool:
    path = root / pattern
    return path.parent.is_dir() if "*" in pattern else path.is_file()


def _numbered(values: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The values of a map [H, W], sorted, and which of them each pixel has; see `np.unique`, which is slower."""
    low, high = int(values.min()), int(values.max())
    if high - low > _SPREAD:
        numbers, places = np.unique(values, return_inverse=True)
        return numbers, places.reshape(values.shape)
    there = np.bincount((values - low).ravel()) > 0
    return np.flatnonzero(there) + low, (np.cumsum(there) - 1)[values - low]


def _classes_of(places: npt.NDArray[np.int64], count: int, classes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """[N]: the class of the objects 1..N that most of their pixels are of, from 0; -1 for none.

    Args:
        places: [H, W] the object of each pixel, 0 for none.
        count: N.
        classes: [H, W] the class of each pixel from 1, 0 for none.
    """
    inside = places > 0
    pairs, counts = np.unique((places[inside] << 32) | np.maximum(classes[inside], 0), return_counts=True)
    pairs = pairs[np.argsort(counts, kind="stable")]
    labels = np.full(count, -1, np.int64)
    labels[(pairs >> 32) - 1] = (pairs & 0xFFFFFFFF) - 1  # the most frequent one comes last
    return labels


def boxes_around(places: npt.NDArray[np.signedinteger[Any]], count: int) -> npt.NDArray[np.float32]:
    """[N, 4] continuous xyxy around the pixels of the values 1..N of a map [H, W]; each has some."""
    rows, columns = np.nonzero(places)
    owners = places[rows, columns] - 1
    low, high = np.full((count, 2), np.iinfo(np.int64).max), np.zeros((count, 2), np.int64)
    for axis, where in enumerate((columns, rows)):
        np.minimum.at(low[:, axis], owners, where)
        np.maximum.at(high[:, axis], owners, where + 1)
    return np.concatenate([low, high], axis=1).astype(np.float32)


def box_around(rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64]) -> list[int]:
    """Xyxy around some pixels."""
    return [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]
