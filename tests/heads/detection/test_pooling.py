from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from vjo_train.heads.detection.pooling import by_rows, by_torchvision, pool_regions

STRIDES = (8, 16, 32)


def pyramid(seed: int, memory_format: torch.memory_format = torch.channels_last) -> list[Tensor]:
    """Of two images of 104 x 72 pixels."""
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(2, 6, -(-104 // step), -(-72 // step), generator=generator)
        .to(memory_format=memory_format)
        .requires_grad_()
        for step in STRIDES
    ]


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(0, 12), st.sampled_from([1, 3, 7]))
def test_pooling_and_its_gradient_are_those_of_torchvisions_kernel(seed: int, count: int, resolution: int) -> None:
    """Also of regions that reach beyond the image, or lie outside it, or have no size."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * 200 - 60
    regions = torch.cat([corner, corner + torch.rand(count, 2, generator=generator) * 120], 1)
    regions[::5, 2:] = regions[::5, :2]
    image = torch.randint(0, 2, (count,), generator=generator)
    place = torch.randint(0, len(STRIDES), (count,), generator=generator)
    weights = torch.randn(count, 6, resolution, resolution, generator=generator)
    found = []
    for pool in (by_rows, by_torchvision):
        features = pyramid(seed)
        pooled = pool(features, STRIDES, regions, image, place, resolution)
        gradients = torch.autograd.grad((pooled * weights).sum(), features, allow_unused=True)
        found.append((pooled, [torch.zeros(()) if g is None else g for g in gradients]))
    (ours, mine), (theirs, others) = found
    assert ours.shape == theirs.shape == weights.shape
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    for one, other in zip(mine, others, strict=True):
        torch.testing.assert_close(one, other.expand_as(one), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
def test_what_is_pooled_does_not_depend_on_memory_order_and_is_float32(memory_format: torch.memory_format) -> None:
    regions, image = torch.tensor([[4.0, 4, 60, 40], [10, 0, 104, 72]]), torch.tensor([1, 0])
    pooled = pool_regions(pyramid(0, memory_format), STRIDES, regions, image, 7)
    assert pooled.dtype == torch.float32
    torch.testing.assert_close(pooled, pool_regions(pyramid(0), STRIDES, regions, image, 7))
    half = [feature.bfloat16() for feature in pyramid(0, memory_format)]
    assert pool_regions(half, STRIDES, regions, image, 7).dtype == torch.float32


def test_no_gradient_reaches_the_regions() -> None:
    regions = torch.tensor([[4.0, 4, 60, 40]], requires_grad=True)
    pool_regions(pyramid(0), STRIDES, regions, torch.tensor([0]), 7).sum().backward()
    assert regions.grad is None


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), -float("inf"), 1e30])
def test_nothing_is_pooled_where_a_region_is_not_finite(odd: float) -> None:
    regions = torch.tensor([[4.0, 4, 60, 40], [4, odd, 60, odd]])
    pooled = pool_regions(pyramid(0), STRIDES, regions, torch.tensor([0, 1]), 7)
    assert pooled[0].any()
    assert not pooled[1].any()
