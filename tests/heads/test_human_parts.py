"""Human parts beside classes: two segmentations of one picture, each by its own label."""

from __future__ import annotations

import torch

from vjo_train.heads.human_parts import HumanPartsDeepLab, HumanPartsFPN
from vjo_train.heads.label_space import LabelSpace
from vjo_train.types import Target

CHANNELS = {"c5": 8, "p3": 16, "p4": 16, "p5": 16}
CLASSES = torch.ones(32, 32, dtype=torch.uint8)
PARTS = torch.full((32, 32), 2, dtype=torch.uint8)
BOTH = Target((32, 32), {"semantic": CLASSES, "human_parts": PARTS})


def test_only_pictures_with_parts_have_a_loss() -> None:
    for head in (
        HumanPartsFPN(channels=CHANNELS, num_classes=2, width=8),
        HumanPartsDeepLab(channels=CHANNELS, num_classes=2, width=8),
    ):
        size = 32 // head.stride
        logits = torch.full((2, 3, size, size), -20.0)
        logits[:, 2] = 20.0  # the second part everywhere
        losses = head.loss(logits, [BOTH, BOTH.only(frozenset({"semantic"}))])
        assert losses.tolist() == [0.0, 0.0]
        logits[:, 1] = 60.0
        assert head.loss(logits, [BOTH])[0] > 30, "its own label counts, not the classes"


def test_figures_and_classes_are_those_of_the_parts() -> None:
    head = HumanPartsFPN(channels=CHANNELS, num_classes=1, width=8)
    head.space = LabelSpace(["torso"], ["person", "torso"])
    (seen,) = head.view([BOTH])
    assert seen["human_parts"].unique().tolist() == [1]
    assert seen["semantic"].unique().tolist() == [1], "other labels stay as they are"
    metrics = head.metrics()
    metrics.update([torch.ones_like(PARTS)] * 2, [seen, seen.only(frozenset({"semantic"}))])
    assert metrics.compute()["miou"] == 1
    assert head.published(torch.ones_like(PARTS)).unique().tolist() == [2]
