from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from tests import tiny
from tests.sharing.ways import THREE
from vjo_train.sharing.hard import HardSharing
from vjo_train.sharing.mtan import MTAN


def build(levels: dict[str, tuple[str, ...]] | None = None, reduction: int = 4) -> MTAN:
    module = tiny.module(THREE, sharing=partial(MTAN, reduction=reduction))
    if levels is None:
        assert isinstance(module.sharing, MTAN)
        return module.sharing
    backbone = tiny.TinyBackbone()
    return MTAN(backbone=backbone, neck=nn.Identity(), levels=levels)


def set_masks(sharing: MTAN, task: str, logit: float) -> None:
    """Masks of one task that are the same everywhere."""
    for name, norm in sharing.attention[task].named_modules():
        if name.endswith("mask.1"):
            nn.init.zeros_(norm.weight)
            nn.init.constant_(norm.bias, logit)


def test_open_masks_are_hard_sharing_and_closed_ones_let_nothing_through() -> None:
    sharing = build().eval()
    set_masks(sharing, "detection", 100.0)
    set_masks(sharing, "classification", -200.0)
    images = torch.randn(2, 3, 64, 64)
    attended = sharing(images, ("classification", "detection")).tasks
    levels = {"detection": ("p3", "p4", "p5", "p6", "p7")}
    hard = HardSharing(backbone=sharing.backbone, neck=sharing.necks["detection"], levels=levels)
    for level, feature in hard(images, ("detection",)).tasks["detection"].items():
        torch.testing.assert_close(attended["detection"][level], feature, rtol=0, atol=0)
    assert attended["classification"]["c5"].abs().max() == 0


def test_a_mask_is_made_from_the_stage_and_the_attended_stage_before_it() -> None:
    """The formula, written out for the second stage."""
    sharing = build(reduction=2).eval()
    images = torch.randn(2, 3, 64, 64)
    c2, c3 = (sharing.backbone(images)[level] for level in ("c2", "c3"))
    attended = sharing(images, ("semantic",)).tasks["semantic"]
    layers = sharing.attention["semantic"]["c3"]
    f, g, h = layers.down, layers.inner, layers.mask
    pooled = nn.functional.max_pool2d(attended["c2"], 2)
    inside = nn.functional.conv2d(pooled, f[0].weight, padding=1) / (1 + 1e-5) ** 0.5  # fresh batch norm
    joined = torch.cat([c3, inside.relu()], 1)
    inside = nn.functional.conv2d(joined, g[0].weight).div((1 + 1e-5) ** 0.5).relu()
    mask = nn.functional.conv2d(inside, h[0].weight).div((1 + 1e-5) ** 0.5).sigmoid()
    torch.testing.assert_close(attended["c3"], mask * c3)
    ratio = attended["c2"] / c2
    assert ratio.min() > 0
    assert ratio.max() < 1


def test_a_task_gets_only_the_stages_and_the_neck_that_it_needs() -> None:
    sharing = build({"a": ("c3",), "b": ("c5", "c2"), "c": ("c4", "p3")})
    assert {task: list(stages) for task, stages in sharing.attention.items()} == {
        "a": ["c2", "c3"],
        "b": ["c2", "c3", "c4", "c5"],
        "c": ["c2", "c3", "c4", "c5"],
    }
    assert list(sharing.necks) == ["c"]
    assert len(sharing(torch.randn(1, 3, 64, 64), ("a",)).representation) == 2


@pytest.mark.parametrize("size", [75, 100])
def test_sizes_that_do_not_halve_evenly(size: int) -> None:
    features = build()(torch.randn(2, 3, size, size), ("detection",)).tasks["detection"]
    assert features["p3"].shape[2] == -(-size // 8)


@pytest.mark.parametrize("rounding", ["up", "down"])
def test_backbones_that_round_up_or_down_where_they_halve(rounding: str) -> None:
    backbone = tiny.TinyBackbone()
    for stage in backbone.stages[1:]:
        assert isinstance(stage, nn.Sequential)
        inputs, outputs = stage[0].in_channels, stage[0].out_channels
        stage[0] = nn.Conv2d(inputs, outputs, *((3, 2, 1) if rounding == "up" else (2, 2)))
    sharing = MTAN(backbone=backbone, neck=nn.Identity(), levels={"a": ("c5",)})
    shape = sharing(torch.randn(2, 3, 100, 100), ("a",)).tasks["a"]["c5"].shape
    assert shape[2] == {"up": 4, "down": 3}[rounding]
