"""Segments in COCO's panoptic format."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vjo_train.heads.panoptic.segments import Segments


def id_colours(segments: Segments) -> npt.NDArray[np.uint8]:
    """[H, W, 3]: the colour whose R + 256 G + 65536 B is a pixel's id, on the CPU."""
    ids = segments.ids.numpy().astype(np.int64)
    return np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=-1).astype(np.uint8)


def segment_rows(segments: Segments) -> list[dict[str, Any]]:
    """`segments_info`: a row for each segment, on the CPU."""
    areas = np.bincount(segments.ids.numpy().ravel(), minlength=len(segments.labels) + 1)
    rows = zip(segments.labels.tolist(), segments.scores.tolist(), segments.things.tolist(), strict=True)
    return [
        {
            "id": number,
            "category_id": label + 1,
            "isthing": int(thing),
            "score": round(score, 6),
            "area": int(areas[number]),
        }
        for number, (label, score, thing) in enumerate(rows, 1)
    ]
