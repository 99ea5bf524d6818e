"""The maps by themselves: closed forms, and the two methods against each other."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from torch import Tensor

from vjo_train.insight.grad_cam import activation_map

METHODS = ("grad_cam", "hires_cam")


@pytest.fixture
def feature() -> Tensor:
    return torch.randn(2, 5, 4, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()


@pytest.mark.parametrize("method", METHODS)
def test_of_a_linear_score_of_the_mean_it_is_the_score_of_each_cell(
    method: Literal["grad_cam", "hires_cam"], feature: Tensor
) -> None:
    weight = torch.randn(5, generator=torch.Generator().manual_seed(1))
    (slope,) = torch.autograd.grad((feature.mean((2, 3)) @ weight).sum(), feature)
    found = activation_map([feature.detach()], [slope], (4, 4), method)
    wanted = torch.einsum("c,bchw->bhw", weight, feature.detach()).relu() / 16
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("method", METHODS)
def test_levels_of_a_pyramid_add_up_to_the_score(method: Literal["grad_cam", "hires_cam"]) -> None:
    """Positive features and weights: nothing is cut, so the sum of the map is the score that is linear in them."""
    levels = [torch.rand(2, 3, side, side).requires_grad_() for side in (8, 4, 2)]
    score = sum((k + 1) * level.mean((2, 3)).sum(1) for k, level in enumerate(levels))
    assert isinstance(score, Tensor)
    slopes = torch.autograd.grad(score.sum(), levels)
    found = activation_map([level.detach() for level in levels], slopes, (32, 32), method)
    torch.testing.assert_close(found.sum((1, 2)), score.detach(), rtol=0.03, atol=0)  # bilinear at the canvas's edge


def test_hires_cam_looks_only_where_the_score_does(feature: Tensor) -> None:
    (slope,) = torch.autograd.grad(feature[:, :, 0, 0].abs().sum(), feature)
    maps = {method: activation_map([feature.detach()], [slope], (4, 4), method) for method in METHODS}  # type: ignore[arg-type]
    wanted = torch.zeros(2, 4, 4)
    wanted[:, 0, 0] = feature.detach()[:, :, 0, 0].abs().sum(1)
    torch.testing.assert_close(maps["hires_cam"], wanted)
    assert bool((maps["grad_cam"][:, 1:] > 0).any())


def test_a_feature_that_the_score_does_not_reach_counts_nothing(feature: Tensor) -> None:
    slope = torch.randn_like(feature)
    both = activation_map([feature.detach(), feature.detach()], [slope, None], (8, 8))
    torch.testing.assert_close(both, activation_map([feature.detach()], [slope], (8, 8)))
    with pytest.raises(ValueError, match="found none"):
        activation_map([], [], (8, 8))
