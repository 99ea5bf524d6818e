"""Street scenes as polygons, as Cityscapes and the India Driving Dataset have them: a JSON file for each picture."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw

from vjo_train.data.index import Index, table
from vjo_train.data.labels.base import Kind
from vjo_train.data.labels.boxes import Boxes
from vjo_train.data.labels.classes import Classes, ShownByObjects
from vjo_train.data.labels.masks import Masks
from vjo_train.data.labels.semantic import Semantic
from vjo_train.data.objects import Objects
from vjo_train.data.sources.coco.outlines import FARTHEST
from vjo_train.data.sources.instance_files import boxes_around
from vjo_train.data.sources.mask_files import MaskFiles, check_file_name, check_some
from vjo_train.data.sources.objects.shapes import finite, read_json
from vjo_train.data.sources.pictures import bytes_of
from vjo_train.data.sources.sizes import measured
from vjo_train.errors import DataError
from vjo_train.types import IGNORE

VOID = ("unlabeled", "ego vehicle", "rectification border", "out of roi")
"""Labels of what is no class: it counts neither way."""
NOT_DRAWN = ("license plate",)
"""Labels of parts of what lies below them."""
THINGS = (
    *("person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle", "caravan", "trailer"),
    *("animal", "autorickshaw", "vehicle fallback"),
)
"""The labels whose polygons are an object each, in both sets; with `group` behind it, it is of several."""


class _Polygon(NamedTuple):
    label: str
    several: bool
    """It is of a group of objects of the label."""
    corners: list[tuple[float, float]]


class _Drawn(NamedTuple):
    """What the polygons of a picture show: of its N objects those that can be seen, in their order in the file."""

    labels: npt.NDArray[np.int64]
    """[N]."""
    several: npt.NDArray[np.bool_]
    """[N]: is a group of objects."""
    numbers: npt.NDArray[np.int16]
    """[H, W]: k + 1 for object k."""
    classes: npt.NDArray[np.uint8]
    """[H, W]: k + 1 for class k, 255 for others."""


class Polygons(MaskFiles):
    """`leftImg8bit/<split>/<city>/x_leftImg8bit.png` with `gtFine/<split>/<city>/x_gtFine_polygons.json`.

    A file has `imgHeight`, `imgWidth` and `objects`: a `label` and a `polygon` [[x, y], ...] for each, the nearest
    last, so that it lies on those before it; those with `deleted` are not drawn. Pictures are labelled for `semantic`,
    of all labels but `VOID`, and for `boxes`, `masks` and `classes` of those that are `things`. Pixels without a label,
    or of another one, count neither way. A picture without any label but `VOID`, as of Cityscapes' test split, is not
    labelled.

    Args:
        images: folder of the pictures, as of `MaskFiles`.
        polygons: file of a picture, as `masks` of `MaskFiles`.
        replace: as of `MaskFiles`; None: `_leftImg8bit` is left out.
        things: labels whose polygons are an object each.

    Raises:
        ConfigError: as of `MaskFiles`.
    """

    kinds: tuple[Kind, ...] = (Classes(), Boxes(), Semantic(), Masks())
    maps: Mapping[str, torch.dtype] = {"semantic": torch.uint8, "masks": torch.int16}

    def __init__(
        self,
        *,
        images: str = "leftImg8bit/{split}",
        polygons: str = "gtFine/{split}/{stem}_gtFine_polygons.json",
        replace: Mapping[str, str] | None = None,
        things: Sequence[str] = THINGS,
    ) -> None:
        check_file_name("polygons", polygons, images)
        super().__init__(images=images, masks=polygons, replace={"_leftImg8bit": ""} if replace is None else replace)
        self.things = tuple(things)

    def class_names(self, root: Path) -> list[str]:
        """All labels, by the alphabet."""
        if found := _labels(self, root, self.stamp(root)):
            return sorted(found)
        raise DataError(f"{root}: its polygons name no class; dataset.classes=[NAME,..] gives them.")

    def class_names_of(self, root: Path, kind: str) -> list[str]:
        names = self.class_names(root)
        return names if kind == "semantic" else [name for name in names if name in self.things] or names

    def _drawn(self, file: Path, size: tuple[int, int], classes: Sequence[str]) -> _Drawn | None:
        """What a file shows; None where it has no label but void ones."""
        polygons = _polygons(file, size, self.things)
        if all(one.label in VOID for one in polygons):
            return None
        if len(polygons) > np.iinfo(np.int16).max:
            raise DataError(f"{file}: found {len(polygons)} polygons; must be at most {np.iinfo(np.int16).max}.")
        canvas = Image.new("I", size[::-1], 0)
        drawer = ImageDraw.Draw(canvas)
        for number, one in enumerate(polygons, 1):
            if len(one.corners) > 1:
                drawer.polygon(one.corners, fill=number)
        places = np.asarray(canvas, np.int64)
        known = {name: number for number, name in enumerate(classes)}
        labels = np.array([known.get(one.label, -1) for one in polygons], np.int64)
        seen = np.bincount(places.ravel(), minlength=len(polygons) + 1)[1:] > 0
        single = np.array([one.label in self.things for one in polygons], np.bool_)
        kept = np.flatnonzero(seen & single & (labels >= 0))
        numbers = np.zeros(len(polygons) + 1, np.int16)
        numbers[kept + 1] = np.arange(1, len(kept) + 1)
        values = np.concatenate([[IGNORE], np.where(labels >= 0, labels + 1, IGNORE)]).astype(np.uint8)
        several = np.array([polygons[place].several for place in kept], np.bool_)
        return _Drawn(labels[kept], several, numbers[places], values[places])

    def read_index(self, root: Path, classes: Sequence[str]) -> Index:
        pairs = self.pairs(root)
        faults: dict[int, str] = {}
        sizes = [measured(root / picture, row, faults) for row, (picture, _) in enumerate(pairs)]

        def found(row: int) -> tuple[Objects, int, bool]:
            file = root / pairs[row][1]
            try:
                drawn = self._drawn(file, sizes[row], classes) if file.is_file() and row not in faults else None
            except DataError as error:
                faults[row] = str(error)
                drawn = None
            if drawn is None:
                return Objects.none(), 0, row in faults
            boxes = boxes_around(drawn.numbers, len(drawn.labels))
            objects = Objects(boxes, drawn.labels, drawn.several)
            return objects, crc32(drawn.classes.tobytes(), crc32(drawn.numbers.tobytes())), True

        with ThreadPoolExecutor(os.cpu_count()) as threads:
            drawn = list(threads.map(found, range(len(pairs))))
        ids, there = [picture for picture, _ in pairs], [known for _, _, known in drawn]
        index = table(
            classes=classes,
            ids=ids,
            images=ids,
            image_bytes=bytes_of(root, ids),
            sizes=sizes,
            objects=[objects for objects, _, _ in drawn],
            labelled={kind.name: there for kind in self.kinds},
            faults=dict(sorted(faults.items())),
            by_image={
                "polygons": np.array([file for _, file in pairs], np.str_),
                "pixels": np.array([digest for _, digest, _ in drawn], np.uint32),
            },
        )
        check_some(root, index, [file for _, file in pairs])
        return index

    def read(self, root: Path, index: Index, row: int, kind: str) -> Any:
        objects = index.objects(row)
        if kind == "boxes":
            return objects
        if kind == "classes":
            annotated = np.isin(index.classes, self.things)
            return ShownByObjects(objects, len(index.classes), annotated if annotated.any() else None)
        file = root / str(index.by_image["polygons"][row])
        drawn = self._drawn(file, index.size(row), index.classes.tolist())
        if drawn is None:
            raise DataError(f"{file}: names no class any more.")
        if kind == "semantic":
            return torch.from_numpy(drawn.classes)
        single = np.concatenate([[0], np.where(objects.difficult, 0, np.arange(1, len(objects) + 1))])
        return torch.from_numpy(single.astype(np.int16)[drawn.numbers])


def _polygons(file: Path, size: tuple[int, int] | None, things: Sequence[str]) -> list[_Polygon]:
    """The polygons of a file, the farthest first, but for those that are not drawn.

    Args:
        file: the JSON.
        size: (height, width) that it must be of; None: any.
        things: labels whose polygons are an object each.

    Raises:
        DataError: it is no such file.
    """
    content = read_json(file)
    found = content.get("objects") if isinstance(content, dict) else None
    if not isinstance(found, list):
        raise DataError(f"{file}: found no list 'objects'; must be JSON of polygons.")
    told = (content.get("imgHeight"), content.get("imgWidth"))
    if size is not None and told != size:
        raise DataError(f"{file}: found {told[1]} x {told[0]} as imgWidth, imgHeight; must be {size[1]} x {size[0]}.")
    polygons = []
    for number, one in enumerate(found, 1):
        try:
            label, deleted = one["label"], one.get("deleted")
            corners = [(finite(x), finite(y)) for x, y in one["polygon"]]
            if not isinstance(label, str) or any(abs(side) >= FARTHEST for corner in corners for side in corner):
                raise ValueError(label)
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            said = f"found {str(one)[:60]}; must have a label and a polygon [[x, y], ..]"
            raise DataError(f"{file}: object {number}: {said}.") from error
        single = label.removesuffix("group")
        several = single != label and single in things
        if not deleted and label not in NOT_DRAWN:
            polygons.append(_Polygon(single if several else label, several, corners))
    return polygons


@lru_cache(4)
def _labels(source: Polygons, root: Path, stamp: str) -> frozenset[str]:
    """The classes that the files name, kept until one changes; files that cannot be read name none."""

    def named(file: Path) -> set[str]:
        try:
            return {one.label for one in _polygons(file, None, source.things)} - {*VOID}
        except DataError:
            return set()

    files = [root / file for _, file in source.pairs(root)]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return frozenset().union(*threads.map(named, filter(Path.is_file, files)))
