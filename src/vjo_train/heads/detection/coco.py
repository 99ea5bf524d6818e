"""Detections in the form of COCO's results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from faster_coco_eval.core import mask as rle
from torch import Tensor

from vjo_train.geometry import PIXEL_CENTRE
from vjo_train.types import Detections, PlacedMasks


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
            row["segmentation"] = _code(found.masks, k)
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


def _code(masks: Tensor | PlacedMasks, k: int) -> dict[str, Any]:
    """The run-length code of one of several masks."""
    if isinstance(masks, Tensor):
        return run_lengths(masks[k].numpy())
    return placed_run_lengths(masks.parts[k].numpy(), masks.corners[k].tolist(), masks.size)


def placed_run_lengths(part: npt.NDArray[np.bool_], corner: Sequence[int], size: tuple[int, int]) -> dict[str, Any]:
    """As `run_lengths`, of a mask [H, W] of which only the part with pixels, at `corner` (top, left), is given."""
    (height, width), (top, left) = size, corner
    columns = np.zeros((part.shape[1], part.shape[0] + 2), np.int8)
    columns[:, 1:-1] = part.T
    column, row = np.nonzero(np.diff(columns, axis=1))  # where runs begin and end, in turns, down each column
    places = (left + column) * height + top + row
    on = np.flatnonzero(places[1:] == places[:-1])  # from the foot of one column to the head of the next
    places = np.delete(places, np.concatenate([on, on + 1]))
    counts = np.diff(places, prepend=0, append=height * width)
    counts = counts[:-1] if len(counts) > 1 and not counts[-1] else counts
    code = rle.frPyObjects({"counts": counts.tolist(), "size": [height, width]}, height, width)
    return {"size": code["size"], "counts": code["counts"].decode("ascii")}


def _numbers(points: Tensor) -> list[float]:
    """[K, 3] -> 3 K numbers."""
    return [round(value, 4) for x, y, sure in points.tolist() for value in (x - PIXEL_CENTRE, y - PIXEL_CENTRE, sure)]
