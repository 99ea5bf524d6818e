"""The hierarchy of tasks: who trains what, what heads get to see, orders and stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests import tiny
from tests.sharing.ways import ALL, DENSE, THREE
from tests.training.test_module import fit
from vjo_train.backbones.base import Backbone
from vjo_train.backbones.neck import FPN
from vjo_train.errors import ConfigError
from vjo_train.sharing.hard import HardSharing
from vjo_train.sharing.hierarchical import Hierarchical, one_below_the_next
from vjo_train.training.module import MultiTaskModule

PAIR = ("classification", "detection")


def reached(module: MultiTaskModule, task: str) -> set[str]:
    """The parameters that the loss of one task alone has a gradient for that is not zero."""
    module.zero_grad()
    batch = tiny.batch(tasks=(task,), labelled=DENSE)
    module.head(task).loss(module(batch.images, (task,))[task], batch.targets).sum().backward()
    return {name for name, p in module.sharing.named_parameters() if p.grad is not None and p.grad.any()}


def test_a_lower_task_moves_nothing_above_it_and_a_higher_one_all_below() -> None:
    module = tiny.module(THREE, sharing=Hierarchical)  # at c3, c4 and c5
    for place, task in enumerate(THREE):
        found = reached(module, task)
        for stage in range(4):
            assert any(name.startswith(f"backbone.stages.{stage}.") for name in found) == (stage <= place + 1)
        for encoder in range(3):
            assert any(name.startswith(f"encoders.{encoder}.") for name in found) == (encoder <= place)


def test_the_shortcut_carries_gradient_to_the_encoder_of_the_task_before() -> None:
    module = tiny.module(PAIR, sharing=Hierarchical)
    found = {name for name in reached(module, "detection") if name.startswith("encoders.0.")}
    assert found == {f"encoders.0.{name}" for name, _ in module.get_submodule("sharing.encoders.0").named_parameters()}
    with torch.no_grad():
        for parameter in module.get_submodule("sharing.encoders.1.shortcuts").parameters():
            parameter.zero_()
    assert not {name for name in reached(module, "detection") if name.startswith("encoders.0.")}


@pytest.mark.parametrize("tasks", [PAIR, THREE])
def test_shared_is_what_more_than_one_task_trains(tasks: Sequence[str]) -> None:
    module = tiny.module(tasks, sharing=Hierarchical)
    several: set[str] = set()
    once: set[str] = set()
    for task in tasks:
        found = reached(module, task)
        several |= found & once
        once |= found
    shared = {id(p) for p in module.sharing.shared_parameters()}
    names = {name for name, p in module.sharing.named_parameters() if id(p) in shared}
    assert several <= names
    assert all(name.startswith("encoders.") and ".neck." in name for name in names - several)  # levels not passed on


def test_one_task_alone_is_hard_sharing() -> None:
    one, other = (tiny.module(("detection",), sharing=way) for way in (Hierarchical, HardSharing))
    assert isinstance(one.sharing, Hierarchical)
    assert sum(p.numel() for p in one.parameters()) == sum(p.numel() for p in other.parameters())
    one.get_submodule("sharing.encoders.0.neck").load_state_dict(other.sharing.get_submodule("neck").state_dict())
    images = torch.randn(2, 3, 64, 64)
    found, wanted = (m.sharing(images, ("detection",)).tasks["detection"] for m in (one, other))
    assert all(torch.equal(found[level], wanted[level]) for level in one.head("detection").levels)
    assert {id(p) for p in one.sharing.shared_parameters()} == {id(p) for p in one.sharing.parameters()}


def test_a_task_alone_computes_nothing_above_it(tmp_path: Path) -> None:
    module = tiny.module(THREE, sharing=Hierarchical)
    ran: list[str] = []
    for name, part in module.sharing.named_modules():
        if name in {f"backbone.stages.{stage}" for stage in range(4)} | {f"encoders.{place}" for place in range(3)}:
            part.register_forward_hook(lambda *_, name=name: ran.append(name))
    fit(module, [tiny.batch(tasks=("classification",))], tmp_path)
    assert ran == ["backbone.stages.0", "backbone.stages.1", "encoders.0"]


class Floor(Backbone):
    """Stages that round sizes down."""

    def __init__(self) -> None:
        steps = [(3, 8, 4), (8, 8, 2), (8, 16, 2), (16, 16, 2)]
        super().__init__([nn.Conv2d(a, b, s, stride=s) for a, b, s in steps], [b for _, b, _ in steps], 0)


READS = {
    "classification": ("c5",),
    "detection": ("p3", "p4", "p5", "p6", "p7"),
    "semantic": ("p2", "p3", "p4", "p5"),
    "instance": ("p2", "p3", "p4", "p5", "p6"),
}


@pytest.mark.parametrize("backbone", [tiny.TinyBackbone, Floor])
@pytest.mark.parametrize("side", [64, 100, 72])
def test_heads_find_their_levels_at_the_usual_strides_and_channels(backbone: type[Backbone], side: int) -> None:
    parts = backbone()
    neck = FPN(in_channels=parts.channels, channels=16, finest="p2")
    images = torch.randn(1, 3, side, side)
    usual = {**parts(images), **neck(parts(images))}
    sharing = Hierarchical(backbone=parts, neck=neck, levels=READS)
    for task, features in sharing(images, ALL).tasks.items():
        assert tuple(features) == READS[task]
        for level, feature in features.items():
            assert feature.shape[:2] == usual[level].shape[:2]
            assert 0 <= feature.shape[2] - usual[level].shape[2] <= 1  # made levels round up


def test_the_order_and_the_stages_of_any_tasks() -> None:
    parts = tiny.TinyBackbone()
    neck, tasks = FPN(in_channels=parts.channels, channels=16), ("instance", "depth", "classification", "normals")
    difficulty = {"instance": 4, "depth": 3, "classification": 1, "normals": 3}
    for given, order in ((difficulty, ("classification", "depth", "normals", "instance")), (None, tasks)):
        found = Hierarchical(backbone=parts, neck=neck, levels=dict.fromkeys(tasks, ("p3",)), difficulty=given)
        assert found.order == order
    levels = ("c2", "c3", "c4", "c5")
    assert one_below_the_next(("a",), levels) == {"a": "c5"}
    assert one_below_the_next(("a", "b"), levels) == {"a": "c4", "b": "c5"}
    assert one_below_the_next(tuple("abcde"), levels) == {"a": "c3", "b": "c3", "c": "c3", "d": "c4", "e": "c5"}


def test_the_order_is_the_users(tmp_path: Path) -> None:
    way = partial(
        Hierarchical, order=("detection", "classification"), stages={"detection": "c3", "classification": "c5"}
    )
    module = tiny.module(PAIR, sharing=way)
    fit(module, [tiny.batch()], tmp_path)
    assert not any(name.startswith("backbone.stages.2.") for name in reached(module, "detection"))
    assert any(name.startswith("encoders.0.neck.") for name in reached(module, "classification"))


WRONG: list[tuple[Mapping[str, Any], str]] = [
    ({"order": ["detection"]}, r"sharing.order: found \['detection'\]; must name each of"),
    ({"stages": {"detection": "c5"}}, r"sharing.stages: found tasks \['detection'\]; must name each of"),
    (
        {"stages": {"classification": "p4", "detection": "c5"}},
        r"sharing.stages.classification: found 'p4'; must be one",
    ),
    ({"stages": {"classification": "c3", "detection": "c4"}}, r"sharing.stages.detection: found c4; must be c5 for"),
    (
        {"order": ["detection", "classification"], "stages": {"classification": "c4", "detection": "c5"}},
        r"sharing.stages.classification: found c4, below the c5 of detection",
    ),
]


@pytest.mark.parametrize(("keys", "message"), WRONG)
def test_wrong_orders_and_stages_are_refused(keys: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tiny.module(PAIR, sharing=partial(Hierarchical, **keys))


def test_a_task_that_nothing_can_go_on_to_is_refused() -> None:
    backbone = tiny.TinyBackbone()
    neck = FPN(in_channels=backbone.channels, channels=16)
    with pytest.raises(ConfigError, match=r"nothing goes on to detection, .* the task before it reads p6"):
        Hierarchical(backbone=backbone, neck=neck, levels={"classification": ("p6",), "detection": ("p3",)})
