"""Non-maximum suppression of a batch as one operator, so that it can be part of an exported graph."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchvision.ops import batched_nms

_LOWEST = -3.4e38
"""Below every score that takes part."""


@torch.library.custom_op(
    "vjo_train::suppress", mutates_args=(), schema="(Tensor b, Tensor s, Tensor g, int n, float t) -> Tensor"
)
def suppress(boxes: Tensor, scores: Tensor, groups: Tensor, count: int, threshold: float) -> Tensor:
    """Which boxes of each image stay, if of two of one group with more IoU than `threshold` the better one does.

    Args:
        boxes: [B, K, 4] xyxy.
        scores: [B, K]; -inf for boxes that take no part.
        groups: [B, K] int64 in 0..count-1, such as classes.
        count: number of groups.
        threshold: greatest IoU of two boxes of a group that stay.

    Returns:
        [B, K] bool.
    """
    kept = torch.zeros_like(scores, dtype=torch.bool)
    for row, box, score, group in zip(kept, boxes, scores, groups, strict=True):
        places = (score > _LOWEST).nonzero()[:, 0]
        row[places[batched_nms(box[places], score[places], group[places], threshold)]] = True
    return kept


@suppress.register_fake
def _(boxes: Tensor, scores: Tensor, groups: Tensor, count: int, threshold: float) -> Tensor:
    return torch.empty_like(scores, dtype=torch.bool)


def suppress_in_onnx(boxes: Any, scores: Any, groups: Any, count: int, threshold: float) -> Any:
    """`suppress` in ONNX's operators, for the exporter."""
    import onnxscript

    op: Any = onnxscript.opset18
    every = op.Unsqueeze(op.Constant(value_ints=list(range(count))), [0, 2])
    own = op.Equal(op.Unsqueeze(groups, [1]), every)  # [B, count, K]
    by_group = op.Where(own, op.Unsqueeze(scores, [1]), float("-inf"))
    # Rows of image, group and box.
    found = op.NonMaxSuppression(boxes, by_group, 1 << 62, threshold, _LOWEST)
    places = op.Gather(found, [0, 2], axis=1)
    number = op.Slice(op.Shape(places), [0], [1])
    nothing = op.Expand(op.Constant(value_float=0.0), op.Shape(scores))
    return op.Cast(op.ScatterND(nothing, places, op.Expand(op.Constant(value_float=1.0), number)), to=9)  # to bool


def suppress_in_torch(boxes: Tensor, scores: Tensor, groups: Tensor, count: int, threshold: float) -> Tensor:
    """`suppress` in PyTorch's operators, for a program that runs without this one.

    A box stays if no better one that stays overlaps it: from all boxes on, this is applied until nothing changes. After
    n rounds the n best boxes are decided.
    """
    order = scores.argsort(dim=1, descending=True, stable=True)
    box, group = boxes.gather(1, order[..., None].expand_as(boxes)), groups.gather(1, order)
    there = scores.gather(1, order) > _LOWEST
    left, top, right, bottom = box.unbind(-1)
    width = torch.minimum(right[:, :, None], right[:, None]) - torch.maximum(left[:, :, None], left[:, None])
    height = torch.minimum(bottom[:, :, None], bottom[:, None]) - torch.maximum(top[:, :, None], top[:, None])
    shared, area = width.clamp(min=0) * height.clamp(min=0), (right - left) * (bottom - top)
    close = shared / (area[:, :, None] + area[:, None] - shared) > threshold
    place = torch.arange(scores.shape[1], device=scores.device)
    over = (close & (group[:, :, None] == group[:, None]) & (place[:, None] < place[None])).to(boxes.dtype)

    def changing(kept: Tensor, before: Tensor) -> Tensor:
        return (kept != before).any()

    def again(kept: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        return there & ~((kept[:, None].to(over.dtype) @ over)[:, 0] > 0), kept.clone()

    loop: Any = torch.while_loop
    kept, _ = loop(changing, again, again(there, there))
    return torch.zeros_like(kept).scatter(1, order, kept)
