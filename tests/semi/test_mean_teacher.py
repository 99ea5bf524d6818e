"""The teacher by itself: its weights, its weight in the loss, whom it teaches, what the network gets to see."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tests import tiny
from vjo_train.errors import ConfigError
from vjo_train.heads.pixels.depth import Depth
from vjo_train.semi.mean_teacher import MeanTeacher
from vjo_train.semi.views import strong_views


def test_the_teacher_is_the_moving_average_of_the_network() -> None:
    module = tiny.module()
    teacher = MeanTeacher(decay=0.5)
    teacher.start(module.sharing, module.heads)
    name = "heads.classification.linear.bias"
    before = teacher.state()["network"][name].clone()
    with torch.no_grad():
        for value in range(1, 7):
            module.head("classification").linear.bias.fill_(value)
            teacher.follow(module.sharing, module.heads, value)
            teacher.follow(module.sharing, module.heads, value)  # a batch that is accumulated moves nothing
    expected = before
    for value in range(1, 7):
        decay = min(0.5, (1 + value) / (10 + value))
        expected = decay * expected + (1 - decay) * value
    torch.testing.assert_close(teacher.state()["network"][name], expected)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 5))
def test_its_weight_rises_to_the_whole(a: float, b: float, weight: float) -> None:
    teacher = MeanTeacher(weight=weight, ramp_up=0.4)
    less, more = sorted((a, b))
    assert teacher.factor(less) <= teacher.factor(more) <= weight
    assert teacher.factor(0.4) == teacher.factor(1.0) == weight
    assert teacher.factor(0.0) == pytest.approx(weight * math.exp(-5))
    assert MeanTeacher(weight=weight, ramp_up=0).factor(0.0) == weight


def test_who_can_be_taught() -> None:
    module = tiny.module(("classification", "detection"))
    heads = {task: module.head(task) for task in module.tasks}
    heads["depth"] = Depth(channels={"p3": 16, "p4": 16, "p5": 16})
    assert MeanTeacher(sure={"detection": 0.7}).thresholds(heads) == {"classification": 0.9, "detection": 0.7}
    with pytest.raises(ConfigError, match=r"semi.sure: found 'depth'; must be one of classification, detection"):
        MeanTeacher(sure={"depth": 0.7}).thresholds(heads)
    with pytest.raises(ConfigError, match="semi: the predictions of depth do not say how sure they are"):
        MeanTeacher().thresholds({"depth": heads["depth"]})


def test_a_strong_view_leaves_the_padding_and_the_given_pictures_alone() -> None:
    torch.manual_seed(0)
    images = torch.randint(0, 256, (4, 3, 64, 48), dtype=torch.uint8)
    given_ = images.clone()
    views = strong_views(images, [(64, 48), (40, 48), (64, 20), (1, 1)], 1.0)
    assert torch.equal(images, given_)
    assert torch.equal(views[1, :, 40:], images[1, :, 40:])
    assert torch.equal(views[2, :, :, 20:], images[2, :, :, 20:])
    assert all(not torch.equal(a, b) for a, b in zip(views[:3], images[:3], strict=True))


def test_the_teacher_is_no_part_of_the_network() -> None:
    module = tiny.module()
    count = sum(p.numel() for p in module.parameters())
    module.semi = MeanTeacher()
    module.semi.start(module.sharing, module.heads)
    assert sum(p.numel() for p in module.parameters()) == count
    assert all(isinstance(p, nn.Parameter) for p in module.parameters())
