"""The class of every pixel, from the masks of objects."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vjo_train.data.objects import Objects
from vjo_train.types import IGNORE


def painted(masks: npt.NDArray[np.bool_], objects: Objects) -> npt.NDArray[np.uint8]:
    """Larger objects first, so that smaller ones lie on top of them; below all of them crowds, which are ignored.

    Args:
        masks: [N, H, W]; a crowd without pixels is ignored in its box.
        objects: theirs.

    Returns:
        [H, W]: 0 background, k + 1 for class k, 255 ignored.
    """
    classes = np.zeros(masks.shape[1:], np.uint8)
    for number in np.flatnonzero(objects.difficult):
        classes[masks[number] if masks[number].any() else _inside(objects.boxes[number])] = IGNORE
    solid = np.flatnonzero(~objects.difficult)
    areas = masks[solid].sum(axis=(1, 2))
    for number in solid[np.argsort(-areas, kind="stable")]:
        classes[masks[number]] = objects.labels[number] + 1
    return classes


def _inside(box: npt.NDArray[np.float32]) -> tuple[slice, slice]:
    left, top, right, bottom = box
    return slice(int(top), int(np.ceil(bottom))), slice(int(left), int(np.ceil(right)))
