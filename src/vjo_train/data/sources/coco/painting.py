"""The labels of an image from its objects and their outlines; the class of every pixel."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from vjo_train.data.index import Index
from vjo_train.data.labels.classes import ShownByObjects
from vjo_train.data.objects import Objects
from vjo_train.data.sources.coco.outlines import masks
from vjo_train.types import IGNORE


def painted(drawn: npt.NDArray[np.bool_], objects: Objects) -> npt.NDArray[np.uint8]:
    """Larger objects first, so that smaller ones lie on top of them; below all of them crowds, which are ignored.

    Args:
        drawn: masks [N, H, W]; a crowd without pixels is ignored in its box.
        objects: theirs.

    Returns:
        [H, W]: 0 background, k + 1 for class k, 255 ignored.
    """
    classes = np.zeros(drawn.shape[1:], np.uint8)
    for number in np.flatnonzero(objects.difficult):
        classes[drawn[number] if drawn[number].any() else _inside(objects.boxes[number])] = IGNORE
    solid = np.flatnonzero(~objects.difficult)
    areas = drawn[solid].sum(axis=(1, 2))
    for number in solid[np.argsort(-areas, kind="stable")]:
        classes[drawn[number]] = objects.labels[number] + 1
    return classes


def _inside(box: npt.NDArray[np.float32]) -> tuple[slice, slice]:
    left, top, right, bottom = box
    return slice(int(top), int(np.ceil(bottom))), slice(int(left), int(np.ceil(right)))


def label_of(index: Index, row: int, kind: str) -> Any:
    """The label of an image whose objects and outlines are in the index.

    Args:
        index: with what `outlines.Outlines.arrays` gives.
        row: of the image.
        kind: `boxes`, `classes`, `masks` or `semantic`.
    """
    objects = index.objects(row)
    if kind == "boxes":
        return objects
    if kind == "classes":
        return ShownByObjects(objects, len(index.classes))
    drawn = masks(index.more, slice(int(index.offsets[row]), int(index.offsets[row + 1])), index.size(row))
    return torch.from_numpy(drawn if kind == "masks" else painted(drawn, objects))
