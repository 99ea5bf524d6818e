"""What a data set shows of each class: how many images and objects, and how large they are on the canvas."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vjo_train.data.letterbox import fit
from vjo_train.data.splits import Splits
from vjo_train.types import Canvas


def class_facts(data: Splits, rows: npt.NDArray[np.int64], canvas: Canvas) -> dict[str, dict[str, float]]:
    """Class -> `objects`, and the median `side` of these (root of the box's area) in pixels of the canvas, if any.

    A class without objects that other labels name has `images` instead.

    Args:
        data: read already.
        rows: the images, of the index; difficult objects do not count.
        canvas: its height and width.

    Returns:
        Nothing where no image has known objects.
    """
    index = data.index
    if "boxes" not in index.labelled or not (boxed := rows[index.labelled["boxes"][rows]]).size:
        return {}
    owner = np.repeat(np.arange(len(index)), np.diff(index.offsets))
    inside = np.isin(owner, boxed) & ~index.difficult
    boxes, labels, owner = index.boxes[inside], index.labels[inside], owner[inside]
    scales = np.array([fit(index.size(row), canvas) for row in owner.tolist()])
    sides = scales * np.sqrt(np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1))
    found = {
        name: {"objects": float(own.sum())} | ({"side": float(np.median(sides[own]))} if own.any() else {})
        for name, own in ((name, labels == label) for label, name in enumerate(data.classes))
    }
    if all(facts["objects"] for facts in found.values()):
        return found
    images = data.images_per_class(rows)
    elsewhere = {name for name, facts in found.items() if not facts["objects"] and images[name]}
    return {name: {"images": float(images[name])} if name in elsewhere else facts for name, facts in found.items()}
