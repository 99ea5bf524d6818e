"""Predictions that are sure enough to be taken for labels, and how many of them are right: pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import box_iou

from vjo_train.types import IGNORE, OTHER, Batch, Boxes, Detections, Keypoints, Target


def labelled_with(kind: str, said: Sequence[Tensor | None], batch: Batch) -> list[Target]:
    """The images of a batch, each with a label of one kind, or with none."""
    known = [{} if label is None else {kind: label} for label in said]
    return [Target(target.size, labels) for target, labels in zip(batch.targets, known, strict=True)]


def sure_classes(probabilities: Tensor, sure: float) -> Tensor | None:
    """[C] -> [C] int8 as the kind `classes`: 1 from `sure` on, -1 up to 1 - `sure`, 0 between; None without any 1.

    Who has recognised nothing is sure that nothing is there, and would teach just that.
    """
    present = probabilities >= sure
    if not present.any():
        return None
    return present.to(torch.int8) - (probabilities <= 1 - sure).to(torch.int8)


def right_classes(said: Tensor, truth: Tensor) -> tuple[int, int]:
    """Of the classes that are said to be present, those that are, and all whose truth is known."""
    judged = (said == 1) & (truth != 0)
    return int((truth[judged] == 1).sum()), int(judged.sum())


def sure_category(probabilities: Tensor, sure: float) -> Tensor | None:
    """[C] -> the likeliest class if its probability reaches `sure`, as the kind `category`."""
    best, label = probabilities.max(0)
    return label if best >= sure else None


def right_category(said: Tensor, truth: Tensor) -> tuple[int, int]:
    """Whether the class is right, and 1; 0 of 0 where the truth is none of the classes."""
    return int(said == truth), int(truth != OTHER)


def sure_map(probabilities: Tensor, sure: float, size: tuple[int, int], *, background: bool) -> Tensor | None:
    """[K, H, W] of a canvas -> [H, W] uint8: the likeliest channel where it reaches `sure`, 255 elsewhere.

    None where no pixel that is sure shows anything but the background.

    Args:
        probabilities: which sum to 1.
        sure: least probability.
        size: (height, width) of the picture on the canvas; the rest is 255.
        background: whether channel 0 is the background; without one, channel k gives k + 1.
    """
    best, channel = probabilities.max(0)
    labels = torch.where(best >= sure, channel + (not background), IGNORE).to(torch.uint8)
    outside = torch.ones_like(labels, dtype=torch.bool)
    outside[: size[0], : size[1]] = False
    labels[outside] = IGNORE
    return labels if ((labels != IGNORE) & (labels != 0)).any() else None


def right_pixels(said: Tensor, truth: Tensor) -> tuple[int, int]:
    """Pixels [H, W] that are right, and all that are said and known."""
    judged = (said != IGNORE) & (truth != IGNORE)
    return int((said == truth)[judged].sum()), int(judged.sum())


def sure_objects(found: Detections, sure: float, canvas: tuple[int, int]) -> dict[str, Any] | None:
    """The objects with a score from `sure` on, and as difficult ones (they count neither way) those from half of it on.

    Args:
        found: in canvas pixels.
        sure: least score.
        canvas: (height, width) that masks are padded to.

    Returns:
        Their labels by kind: `boxes`, and `masks` and `keypoints` where they were found; None where no object is sure.
    """
    which = torch.nonzero(found.scores >= sure / 2).flatten()
    scores = found.scores[which]
    if not (scores >= sure).any():
        return None
    labels: dict[str, Any] = {"boxes": Boxes(found.boxes[which], found.labels[which], scores < sure)}
    if isinstance(found.masks, Tensor):
        masks = found.masks[which]
        height, width = masks.shape[-2:]
        labels["masks"] = F.pad(masks, (0, canvas[1] - width, 0, canvas[0] - height))
    if found.keypoints is not None:
        labels["keypoints"] = sure_points(found.keypoints[which], found.boxes[which])
    return labels


POINT_SURE = 0.5
"""Least sureness of a point that is taken for a label."""


def sure_points(points: Tensor, boxes: Tensor) -> Keypoints:
    """[N, K, 3] x, y and sureness in boxes [N, 4] -> visible points; those less sure than `POINT_SURE` are unknown."""
    known = points[..., 2:] >= POINT_SURE
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    edges = torch.zeros(0, 2, dtype=torch.int64, device=points.device)
    return Keypoints(torch.where(known, torch.cat([points[..., :2], 2.0 * known], -1), 0.0), areas, edges)


def right_objects(said: Boxes, truth: Boxes) -> tuple[int, int]:
    """Of the sure objects those that lie on a true one of their class with an IoU of at least 0.5, and all."""
    sure = ~said.difficult
    if not len(truth):
        return 0, int(sure.sum())
    overlap = box_iou(said.xyxy[sure], truth.xyxy.to(said.xyxy))
    same = said.labels[sure][:, None] == truth.labels[None]
    return int(((overlap >= 0.5) & same).any(1).sum()), int(sure.sum())
