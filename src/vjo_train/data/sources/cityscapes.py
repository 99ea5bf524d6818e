"""Cityscapes: street scenes with the class and disparity of every pixel, and the pixels of every person and vehicle."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from zlib import crc32

import numpy as np
import numpy.typing as npt
import torch

from vjo_train.data.decode import read_mask, read_numbers, read_values
from vjo_train.data.index import Index
from vjo_train.data.labels.base import Kind
from vjo_train.data.labels.boxes import Boxes
from vjo_train.data.labels.classes import Classes, ShownByObjects
from vjo_train.data.labels.depth import Depth
from vjo_train.data.labels.masks import Masks
from vjo_train.data.labels.semantic import Semantic
from vjo_train.data.objects import Objects
from vjo_train.data.sources.guess.folders import looks_like
from vjo_train.data.sources.map_files import known_depth
from vjo_train.data.sources.mask_files import MaskFiles
from vjo_train.data.sources.pictures import stamp_of
from vjo_train.errors import DataError
from vjo_train.types import IGNORE

LABEL_IDS = {
    "road": 7, "sidewalk": 8, "building": 11, "wall": 12, "fence": 13, "pole": 17, "traffic light": 19,
    "traffic sign": 20, "vegetation": 21, "terrain": 22, "sky": 23, "person": 24, "rider": 25, "car": 26, "truck": 27,
    "bus": 28, "train": 31, "motorcycle": 32, "bicycle": 33,
}  # fmt: skip
"""The 19 classes that are trained on, in their usual order -> their values in the `labelIds` maps."""
CATEGORIES = {
    "flat": ("road", "sidewalk"),
    "construction": ("building", "wall", "fence"),
    "object": ("pole", "traffic light", "traffic sign"),
    "nature": ("vegetation", "terrain"),
    "sky": ("sky",),
    "human": ("person", "rider"),
    "vehicle": ("car", "truck", "bus", "train", "motorcycle", "bicycle"),
}
"""The benchmark's 7 groups -> those of the 19 classes that they hold."""
WITH_INSTANCES = ("person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle")

_MAP, _INSTANCES = "_labelIds.png", "_instanceIds.png"
_DISPARITY = "disparity/{split}/{stem}_disparity.png"
_LEAST = 1000
"""The least value of a single object: 1000 x its label id + its number. Below, a value is the label id of a region."""


@dataclass(frozen=True)
class _Instances:
    """What an `instanceIds` map shows."""

    objects: Objects
    """In the order of their values; regions of several objects that were not told apart are difficult."""
    values: npt.NDArray[np.int32]
    """[N] in the map."""
    labelled: bool
    """Some pixel is of a class that is trained on; the maps of the test split have none."""

    @classmethod
    def none(cls) -> _Instances:
        return cls(Objects.none(), np.empty(0, np.int32), False)


class Cityscapes(MaskFiles):
    """`leftImg8bit/<split>/<city>/*_leftImg8bit.png` with `*_gtFine_labelIds.png` and `*_gtFine_instanceIds.png`.

    There is no background: pixels of other classes count neither way. Pictures are labelled for `classes`, `boxes` and
    `masks` of the 8 classes `WITH_INSTANCES` where their `instanceIds` are there. The maps of the test split hold no
    labels: its pictures are not labelled. `disparity/<split>/<city>/*_disparity.png`, where it is there, is inverse
    depth in pixels of the full picture: (value - 1) / 256, unknown where it is 0 or less.

    Args:
        categories: pixels are of the 7 groups `CATEGORIES` instead of the 19 classes.
        annotations: the folder of the maps, and part of their names.
    """

    kinds: tuple[Kind, ...] = (Classes(), Boxes(), Semantic(), Masks(), Depth(inverse=True))
    maps: Mapping[str, torch.dtype] = {"semantic": torch.uint8, "masks": torch.int16, "depth": torch.float32}

    def __init__(self, *, categories: bool = False, annotations: Literal["gtFine", "gtCoarse"] = "gtFine") -> None:
        maps = f"{annotations}/{{split}}/{{stem}}_{annotations}{_MAP}"
        super().__init__(images="leftImg8bit/{split}", masks=maps, replace={"_leftImg8bit": ""})
        self.categories = categories

    def root(self, folder: Path) -> Path:
        if (folder / "leftImg8bit").is_dir() or not folder.is_dir():
            return super().root(folder)
        apart = sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/leftImg8bit"))
        said = (
            f"; move {apart[0]} and the folders of maps into it, where the archives were unpacked apart"
            if apart
            else ""
        )
        raise DataError(f"dataset.root: {folder} holds no leftImg8bit/{said}." + ("" if apart else looks_like(folder)))

    def class_names(self, root: Path) -> list[str]:
        return list(self._label_ids())

    def class_names_of(self, root: Path, kind: str) -> list[str]:
        if kind != "semantic":
            return list(WITH_INSTANCES)
        return list(CATEGORIES if self.categories else LABEL_IDS)

    def _label_ids(self) -> dict[str, list[int]]:
        """Every class that may be asked for -> its values in the `labelIds` maps; none for those of objects alone."""
        if not self.categories:
            return {name: [label_id] for name, label_id in LABEL_IDS.items()}
        groups = {name: [LABEL_IDS[member] for member in members] for name, members in CATEGORIES.items()}
        return groups | {name: [] for name in WITH_INSTANCES}

    def stamp(self, root: Path) -> str:
        disparities = [file for _, file in self.beside(root, _DISPARITY)]
        files = [*(_instances_of(mask) for _, mask in self.pairs(root)), *disparities]
        return f"{super().stamp(root)} {stamp_of(root, files)}"

    def index_of_maps(self, root: Path, classes: Sequence[str]) -> Index:
        for name in classes:
            if name not in self._label_ids():
                raise DataError(f"dataset.classes: found '{name}'; allowed are {', '.join(self._label_ids())}.")
        index = super().index_of_maps(root, classes)
        paths = [_instances_of(mask) for _, mask in self.pairs(root)]
        there = np.array([(root / path).is_file() for path in paths], np.bool_)
        faults = dict(zip(index.faulty.tolist(), index.faults.tolist(), strict=True))

        def found(row: int) -> _Instances:
            if not there[row] or row in faults:
                return _Instances.none()
            try:
                return _instances(read_values(root / paths[row], index.size(row)).numpy(), classes)
            except DataError as error:
                faults[row] = str(error)
                return _Instances.none()

        with ThreadPoolExecutor(os.cpu_count()) as threads:  # decoding lets other threads run
            instances = list(threads.map(found, range(len(index))))
        index = _with_instances(index, instances, np.where(there, paths, ""), dict(sorted(faults.items())))
        files = [file if (root / file).is_file() else "" for _, file in self.beside(root, _DISPARITY)]
        disparities = np.asarray(files, np.str_)
        return replace(
            index,
            labelled={**index.labelled, "depth": disparities != ""},
            files={**index.files, "depth": disparities},
        )

    def read(self, root: Path, index: Index, row: int, kind: str) -> Any:
        objects = index.objects(row)
        if kind == "boxes":
            return objects
        if kind == "classes":
            annotated = np.isin(index.classes, WITH_INSTANCES)
            return ShownByObjects(objects, len(index.classes), annotated)
        if kind == "masks":
            values = index.more["values"][index.offsets[row] : index.offsets[row + 1]]
            numbers = np.zeros(1 << 16, np.int16)
            numbers[values] = np.where(objects.difficult, 0, np.arange(1, len(values) + 1))
            return torch.from_numpy(numbers[read_values(index.file(root, row, kind), index.size(row)).numpy()])
        if kind == "depth":
            return known_depth((read_numbers(index.file(root, row, kind), index.size(row)) - 1) / 256)
        labels = read_mask(index.file(root, row, kind), index.size(row), 255, "Cityscapes' label ids")
        return _numbers(index.classes.tolist(), self._label_ids())[labels.long()]


def _instances_of(mask: str) -> str:
    return mask.removesuffix(_MAP) + _INSTANCES


def _instances(values: npt.NDArray[np.int32], classes: Sequence[str]) -> _Instances:
    """The objects of `classes` in an `instanceIds` map [H, W], with the boxes of their pixels."""
    present = np.flatnonzero(np.bincount(values.ravel(), minlength=1 << 16))
    label_ids = np.where(present < _LEAST, present, present // _LEAST)
    numbers = {LABEL_IDS[name]: number for number, name in enumerate(classes) if name in WITH_INSTANCES}
    wanted = np.isin(label_ids, list(numbers))
    places = np.zeros(1 << 16, np.int32)
    places[present[wanted]] = np.arange(1, wanted.sum() + 1)
    rows, columns = np.nonzero(places[values])
    owners = places[values[rows, columns]]
    order = np.argsort(owners, kind="stable")
    starts = np.searchsorted(owners[order], np.arange(1, wanted.sum() + 1))
    rows, columns = rows[order], columns[order]
    boxes = np.empty((len(starts), 4), np.float32)
    if len(starts):
        low = [np.minimum.reduceat(values, starts) for values in (columns, rows)]
        high = [np.maximum.reduceat(values, starts) + 1 for values in (columns, rows)]
        boxes[:] = np.stack([*low, *high], axis=1)
    labels = np.array([numbers[label_id] for label_id in label_ids[wanted].tolist()], np.int64)
    objects = Objects(boxes, labels, present[wanted] < _LEAST)
    return _Instances(
        objects, present[wanted].astype(np.int32), bool(np.isin(label_ids, list(LABEL_IDS.values())).any())
    )


def _with_instances(
    index: Index, instances: Sequence[_Instances], paths: npt.NDArray[np.str_], faults: Mapping[int, str]
) -> Index:
    """The index of the class maps with the objects that they show."""
    there = np.array([one.labelled for one in instances], np.bool_)
    empty = (paths != "") & ~there
    objects = [one.objects for one in instances]
    return replace(
        index,
        offsets=np.cumsum([0, *map(len, objects)], dtype=np.int64),
        boxes=np.concatenate([one.boxes for one in objects]),
        labels=np.concatenate([one.labels for one in objects]).astype(np.int16),
        difficult=np.concatenate([one.difficult for one in objects]),
        labelled={
            **{kind: there for kind in ("classes", "boxes", "masks")},
            "semantic": index.labelled["semantic"] & ~empty,
        },
        files={**index.files, "masks": paths},
        faulty=np.asarray(list(faults), np.int64),
        faults=np.asarray(list(faults.values()), np.str_),
        by_image={"value_digests": np.array([crc32(one.values.tobytes()) for one in instances], np.uint32)},
        more={"values": np.concatenate([one.values for one in instances])},
    )


def _numbers(classes: Sequence[str], label_ids: Mapping[str, Sequence[int]]) -> torch.Tensor:
    """[256] uint8: label id -> the number of its class from 1; 255 for all that is not trained on."""
    table = torch.full((256,), IGNORE, dtype=torch.uint8)
    for number, name in enumerate(classes, 1):
        table[list(label_ids.get(name, ()))] = number
    return table
