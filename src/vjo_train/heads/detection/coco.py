"""Detections in the form of COCO's results."""

from __future__ import annotations

from typing import Any

import numpy as np
from faster_coco_eval.core import mask as rle

from vjo_train.types import Detections


def coco_rows(found: Detections) -> list[dict[str, Any]]:
    """One entry per object of an image, without the image's id; boxes to 1e-4 pixels.

    `bbox` is x, y, width, height; the category of class k is k + 1; `segmentation` is a run-length code, and
    `keypoints` are x, y and a probability of each point.

    Args:
        found: on the CPU, in the image file's pixels.
    """
    rows = []
    for k, ((x1, y1, x2, y2), score, label) in enumerate(
        zip(found.boxes.tolist(), found.scores.tolist(), found.labels.tolist(), strict=True)
    ):
        box = [round(value, 4) for value in (x1, y1, x2 - x1, y2 - y1)]
        row: dict[str, Any] = {"category_id": label + 1, "bbox": box, "score": round(score, 6)}
        if found.masks is not None:
            code = rle.encode(np.asfortranarray(found.masks[k].numpy().astype(np.uint8)))
            row["segmentation"] = {"size": code["size"], "counts": code["counts"].decode("ascii")}
        if found.points is not None:
            row["keypoints"] = [round(value, 4) for value in found.points[k].flatten().tolist()]
        rows.append(row)
    return rows
