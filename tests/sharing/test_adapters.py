from __future__ import annotations

import torch
from torch import nn

from tests import tiny
from tests.sharing.ways import BUILD, THREE
from vjo_train.sharing.adapters import Adapters
from vjo_train.sharing.hard import HardSharing

IMAGES = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def build() -> Adapters:
    sharing = tiny.module(THREE, sharing=BUILD["adapters"]).sharing
    assert isinstance(sharing, Adapters)
    return sharing


def test_the_network_begins_as_that_of_hard_sharing() -> None:
    sharing = build()
    hard = HardSharing(backbone=sharing.backbone, neck=sharing.neck, levels=sharing.levels)
    mine, theirs = sharing(IMAGES, THREE), hard(IMAGES, THREE)
    for task in THREE:
        for level in sharing.levels[task]:
            assert torch.equal(mine.tasks[task][level], theirs.tasks[task][level])


def test_an_adapter_changes_what_its_task_sees_and_no_other() -> None:
    sharing = build()
    before = sharing(IMAGES, THREE)
    nn.init.normal_(sharing.adapters["detection"]["c4"][-1].weight)
    after = sharing(IMAGES, THREE)
    assert not torch.equal(before.tasks["detection"]["p3"], after.tasks["detection"]["p3"])  # by way of the neck
    assert torch.equal(before.tasks["semantic"]["p3"], after.tasks["semantic"]["p3"])
    assert torch.equal(before.tasks["classification"]["c5"], after.tasks["classification"]["c5"])


def test_adapters_lie_where_a_task_needs_them_and_belong_to_it() -> None:
    sharing = build()
    assert {task: list(own) for task, own in sharing.adapters.items()} == {
        "classification": ["c5"],
        "detection": ["c3", "c4", "c5"],
        "semantic": ["c3", "c4", "c5"],
    }
    shared = {id(p) for p in sharing.shared_parameters()}
    assert shared == {id(p) for part in (sharing.backbone, sharing.neck) for p in part.parameters()}


def test_the_neck_says_what_it_reads() -> None:
    neck = build().neck
    assert neck.inputs(["c5"]) == []
    assert neck.inputs(["p4", "c2"]) == ["c4", "c5"]
    assert neck.inputs(["p6"]) == ["c5"]
    assert neck.inputs(["p3", "p7"]) == ["c3", "c4", "c5"]
