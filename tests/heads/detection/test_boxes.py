from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.models.detection._utils import BoxCoder
from torchvision.ops import box_iou

from vjo_train.heads.detection.boxes import clip, decode, encode, pairwise_iou


def random_boxes(count: int, seed: int) -> Tensor:
    corner = 80 * torch.rand(count, 2, generator=torch.Generator().manual_seed(seed))
    size = 1 + 60 * torch.rand(count, 2, generator=torch.Generator().manual_seed(seed + 1))
    return torch.cat([corner, corner + size], dim=1)


@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 7))
@settings(max_examples=20)
def test_iou_is_that_of_torchvision(seed: int, n: int, m: int) -> None:
    a, b = random_boxes(n, seed), random_boxes(m, seed + 2)
    torch.testing.assert_close(pairwise_iou(a, b), box_iou(a, b))
    torch.testing.assert_close(pairwise_iou(torch.stack([a, a + 1]), b)[1], box_iou(a + 1, b))


def test_iou_of_empty_boxes_is_zero() -> None:
    assert pairwise_iou(torch.zeros(1, 4), torch.zeros(2, 4)).tolist() == [[0, 0]]


def test_offsets_are_those_of_torchvision_and_come_back() -> None:
    boxes, anchors = random_boxes(50, 0), random_boxes(50, 9)
    weights = (10.0, 10.0, 5.0, 5.0)
    offsets = encode(boxes, anchors, weights)
    torch.testing.assert_close(offsets, BoxCoder(weights).encode_single(boxes, anchors))
    torch.testing.assert_close(decode(offsets, anchors, weights), boxes, rtol=1e-4, atol=1e-3)


def test_offsets_of_degenerate_boxes_are_finite() -> None:
    flat = torch.tensor([[5.0, 5.0, 5.0, 9.0], [0.0, 0.0, 0.0, 0.0]])
    assert bool(encode(flat, random_boxes(2, 0)).isfinite().all())
    assert bool(decode(torch.full((2, 4), 1e4), random_boxes(2, 0)).isfinite().all())


def test_clip_by_each_images_height_and_width() -> None:
    boxes = torch.tensor([[[-5.0, -5.0, 100.0, 100.0]]]).repeat(2, 1, 1)
    cut = clip(boxes, torch.tensor([[40, 60], [80, 20]]))
    assert cut[:, 0].tolist() == [[0, 0, 60, 40], [0, 0, 20, 80]]
