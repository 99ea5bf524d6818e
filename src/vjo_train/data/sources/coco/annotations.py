"""What one JSON file says, as arrays."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vjo_train.data.sources.coco.segments import Segments
from vjo_train.data.sources.coco.stream import items


@dataclass
class Annotations:
    """The I images of a file in its order, with N objects sorted by image, then in the order of the file."""

    names: list[str]
    """[I] the image files."""
    sizes: npt.NDArray[np.int32]
    """[I, 2] height and width; 1 x 1 where they are not told."""
    annotated: bool
    """Whether the file has annotations at all: an image without any then shows nothing."""
    faults: dict[int, str]
    """Image -> what is wrong with it or its objects."""
    owner: npt.NDArray[np.int64]
    """[N] the image."""
    boxes: npt.NDArray[np.float32]
    """[N, 4] xyxy as the file has them."""
    categories: npt.NDArray[np.int64]
    """[N] category ids."""
    crowd: npt.NDArray[np.bool_]
    """[N]."""
    outlined: npt.NDArray[np.bool_]
    """[N]: the object has an outline."""
    outlines: Segments
    order: npt.NDArray[np.int64]
    """[N]: the objects' places in `outlines`."""


@dataclass
class _Rows:
    """Objects as they come; numbers side by side instead of Python objects."""

    images: array[int] = field(default_factory=lambda: array("q"))
    boxes: array[float] = field(default_factory=lambda: array("f"))
    categories: array[int] = field(default_factory=lambda: array("q"))
    crowd: array[int] = field(default_factory=lambda: array("b"))
    outlined: array[int] = field(default_factory=lambda: array("b"))
    outlines: Segments = field(default_factory=Segments)
    broken: list[tuple[int, str]] = field(default_factory=list)


def read(file: Path, known: Mapping[int, str]) -> Annotations:
    """Reads a file, whose items may come in any order.

    Args:
        file: the JSON.
        known: its categories.

    Raises:
        DataError: it cannot be read.
    """
    names: list[str] = []
    ids: dict[int, int] = {}
    sizes: list[tuple[int, int]] = []
    faults: dict[int, str] = {}
    rows, annotated = _Rows(), False
    for key, item in items(file, {"images", "annotations"}):
        if item is None:
            annotated |= key == "annotations"
        elif key == "images":
            number = len(names)
            name, size, fault = _image(item, file)
            names.append(name)
            sizes.append(size)
            if fault:
                faults[number] = fault
            if item.get("id") in ids:
                faults[number] = f"{file}: found the image id {item.get('id')} twice; must be one image's."
            else:
                ids[item.get("id", -1)] = number
        else:
            _add(rows, item, known, file)
    for image, fault in rows.broken:
        if image in ids:
            faults.setdefault(ids[image], fault)
    owner = np.array([ids.get(image, -1) for image in rows.images], np.int64)
    order = np.argsort(owner, kind="stable")
    order = order[owner[order] >= 0]  # objects of images that are not listed belong to no split
    return Annotations(
        names=names,
        sizes=np.asarray(sizes, np.int32).reshape(-1, 2),
        annotated=annotated,
        faults=faults,
        owner=owner[order],
        boxes=np.asarray(rows.boxes, np.float32).reshape(-1, 4)[order],
        categories=np.asarray(rows.categories, np.int64)[order],
        crowd=np.asarray(rows.crowd, np.bool_)[order],
        outlined=np.asarray(rows.outlined, np.bool_)[order],
        outlines=rows.outlines,
        order=order,
    )


def _image(item: Any, file: Path) -> tuple[str, tuple[int, int], str]:
    """File name, (height, width), and what is wrong."""
    if not isinstance(item, dict):
        return "", (1, 1), f"{file}: found the image {str(item)[:80]}; must be an object."
    name, height, width = str(item.get("file_name", "")), item.get("height"), item.get("width")
    if not name:
        return "", (1, 1), f"{file}: the image {item.get('id')} has no file_name."
    if not (isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0):
        return name, (1, 1), f"{file}: {name}: found the size {width} x {height}; both must be whole numbers above 0."
    return name, (height, width), ""


def _add(rows: _Rows, item: Any, known: Mapping[int, str], file: Path) -> None:
    if not isinstance(item, dict) or not isinstance(image := item.get("image_id"), int):
        return  # of no image
    box, category = item.get("bbox"), item.get("category_id")
    where = f"{file}: annotation {item.get('id')}"
    if not isinstance(category, int) or category not in known:
        allowed = f"{min(known)}..{max(known)}" if known else "none"
        rows.broken.append((image, f"{where}: found the category_id {category}; the file's categories are {allowed}."))
        return
    if not (isinstance(box, list) and len(box) == 4 and all(isinstance(v, int | float) and isfinite(v) for v in box)):
        rows.broken.append((image, f"{where}: found the bbox {str(box)[:80]}; must be [x, y, width, height]."))
        return
    x, y, width, height = box
    rows.images.append(image)
    rows.boxes.extend((x, y, x + width, y + height))
    rows.categories.append(category)
    rows.crowd.append(bool(item.get("iscrowd", 0)))
    rows.outlined.append(rows.outlines.add(item.get("segmentation")))
