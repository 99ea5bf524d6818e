"""Small heads and targets with key points for the tests of the key point heads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from tests.heads.detection import cases
from vjo_train.heads.keypoints.base import KeypointHead
from vjo_train.heads.keypoints.fcos import FCOSKeypoints
from vjo_train.heads.keypoints.keypoint_rcnn import KeypointRCNN
from vjo_train.types import Keypoints, Target

KINDS = ("rcnn", "fcos")
LABELLED = frozenset({"boxes", "keypoints"})
POINTS = 4
CORNERS = torch.tensor([[0.1, 0.1], [0.9, 0.2], [0.5, 0.5], [0.3, 0.9]])
"""Where the points of an object lie in its box."""


def head(kind: str, **options: Any) -> KeypointHead:
    """A small head whose samples take all there is, so that nothing in it is random."""
    torch.manual_seed(0)
    given: dict[str, Any] = {"channels": cases.CHANNELS, "num_classes": cases.CLASSES, "points": POINTS}
    if kind == "fcos":
        return FCOSKeypoints(**(given | {"depth": 1, "point_depth": 1} | options))
    small = {"proposals": 30, "eval_proposals": 30, "hidden": 32, "point_depth": 1, "point_width": 16}
    return KeypointRCNN(**(given | small | {"anchors_per_image": 10**5, "rois_per_image": 10**5} | options))


def target(
    boxes: Sequence[Sequence[float]] = (),
    labels: Sequence[int] | None = None,
    difficult: Sequence[bool] | None = None,
    *,
    labelled: frozenset[str] = LABELLED,
    size: tuple[int, int] = (cases.SIZE, cases.SIZE),
) -> Target:
    """Objects with visible points at `CORNERS`; on the canvas if `size` is its size."""
    plain = cases.target(boxes, labels, difficult, size=size)
    xyxy = plain["boxes"].xyxy
    places = xyxy[:, None, :2] + CORNERS * (xyxy[:, None, 2:] - xyxy[:, None, :2])
    points = torch.cat([places, torch.full((len(xyxy), POINTS, 1), 2.0)], dim=-1)
    areas = 0.53 * (xyxy[:, 2:] - xyxy[:, :2]).prod(1)
    known = Keypoints(points, areas, torch.empty(0, 2, dtype=torch.int64))
    return Target(size, {**plain.labels, "keypoints": known}).only(labelled)


def mixed() -> list[Target]:
    """Many objects, one, none, difficult ones, one without key points, and objects with few known points or none."""
    partly = target([[4, 4, 44, 52], [50, 30, 90, 80]], [0, 2])
    partly["keypoints"].points[0] = 0
    partly["keypoints"].points[1, 1:3] = 0
    return [
        target([[4, 4, 30, 40], [20, 20, 90, 80], [50, 8, 70, 30]], [0, 1, 2]),
        target([[10, 30, 60, 70]], [2]),
        target(),
        target([[10, 10, 40, 40], [50, 50, 90, 90]], [1, 0], [True, False]),
        target([[10, 30, 60, 70]], [2], labelled=frozenset({"boxes"})),
        partly,
    ]
