"""Detections in the form of COCO's results."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from faster_coco_eval.core import mask as rle
from torch import Tensor

from vjo_train.geometry import PIXEL_CENTRE
from vjo_train.types import Detections


def coco_rows(found: Detections) -> list[dict[str, Any]]:
    """One entry per object of an image, without the image's id; boxes to 1e-4 pixels.

    `bbox` is x, y, width, height; the category of class k is k + 1; `segmentation` is a run-length code; `keypoints`
    are x, y in COCO's numbers of pixels and how sure the point is, one point after the other; `track_id` is there for
    objects that are followed through a video.

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
            row["segmentation"] = run_lengths(found.masks[k].numpy())
        if found.keypoints is not None:
            row["keypoints"] = _numbers(found.keypoints[k])
        if found.tracks is not None and found.tracks[k]:
            row["track_id"] = int(found.tracks[k])
        rows.append(row)
    return rows


def run_lengths(mask: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """COCO's run-length code of a mask [H, W]: `size`, height and width, and `counts`."""
    code = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": code["size"], "counts": code["counts"].decode("ascii")}


def _numbers(points: Tensor) -> list[float]:
    """[K, 3] -> 3 K numbers."""
    return [round(value, 4) for x, y, sure in points.tolist() for value in (x - PIXEL_CENTRE, y - PIXEL_CENTRE, sure)]
