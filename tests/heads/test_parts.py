"""The parts of a head's loss, and what each of them trains alone."""

from __future__ import annotations

import pytest
import torch

from tests.heads.detection import cases as detection
from tests.heads.instance import cases
from tests.heads.keypoints import cases as keypoints
from vjo_train.heads.base import Head
from vjo_train.heads.parts import joint_parameters, own_parameters

KINDS = ("faster_rcnn", *cases.KINDS, "rcnn")


def head(kind: str, split: bool) -> Head:
    makers = {"faster_rcnn": detection.head, "rcnn": keypoints.head}
    return makers.get(kind, cases.head)(kind, split_losses=split)


@pytest.mark.parametrize("kind", KINDS)
def test_parts_make_up_the_loss_and_own_what_no_other_part_reaches(kind: str) -> None:
    whole, parted = head(kind, False), head(kind, True)
    maps, targets = detection.features(6), keypoints.mixed() if kind == "rcnn" else cases.mixed()
    parts = parted.part_losses(parted(maps), targets)
    torch.testing.assert_close(sum(parts.values()), whole.loss(whole(maps), targets))
    names = {id(p): name for name, p in parted.named_parameters()}
    reached: dict[str, set[str]] = {}
    for part, loss in parts.items():
        given = torch.autograd.grad(loss.sum(), list(parted.parameters()), retain_graph=True, allow_unused=True)
        reached[part] = {name for name, g in zip(names.values(), given, strict=True) if g is not None}
    for part, parameters in parted.part_parameters().items():
        others = set().union(*(found for other, found in reached.items() if other != part))
        assert {names[id(p)] for p in parameters} == reached[part] - others


def test_names_of_losses_and_what_several_train() -> None:
    heads = {"boxes": head("faster_rcnn", False), "instance": head("mnc3", True)}
    assert list(own_parameters(heads)) == ["boxes", "instance/box", "instance/mask", "instance/category"]
    branch = list(heads["instance"].get_submodule("mask_branch").parameters())
    assert [id(p) for p in joint_parameters(heads)] == [id(p) for p in branch]
