"""The ways of sharing by the names of their YAML files, for the tiny network."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

from torch import nn
from torchvision.models.resnet import BasicBlock

from vjo_train.backbones.base import Backbone
from vjo_train.sharing.adapters import Adapters
from vjo_train.sharing.adashare import AdaShare
from vjo_train.sharing.adversarial import AdversarialSharing
from vjo_train.sharing.base import Sharing
from vjo_train.sharing.branched import Branched
from vjo_train.sharing.cross_stitch import CrossStitch
from vjo_train.sharing.hard import HardSharing
from vjo_train.sharing.hierarchical import Hierarchical
from vjo_train.sharing.mmoe import MMoE
from vjo_train.sharing.mtan import MTAN
from vjo_train.sharing.routed import Routed


class Residual(Backbone):
    """The channels of the tiny backbone in residual blocks, without norm."""

    def __init__(self) -> None:
        widths = (8, 8, 8, 16, 16)
        stages = []
        for place, (a, b) in enumerate(pairwise(widths)):
            halved = 1 if place == 0 else 2
            down = None if place == 0 else nn.Conv2d(a, b, 1, stride=2)
            block = BasicBlock(a, b, halved, down, norm_layer=lambda _: nn.Identity())
            stem = [nn.Conv2d(3, a, 3, stride=4, padding=1), nn.ReLU()] if place == 0 else []
            stages.append(nn.Sequential(*stem, block))
        super().__init__(stages, widths[1:], 0)


def adashare(backbone: nn.Module, **keys: Any) -> AdaShare:
    """On a backbone with blocks to choose from; sought from the first step on."""
    return AdaShare(backbone=Residual(), **({"warmup": 0.0, "fixed": 1.0} | keys))


BUILD: dict[str, Callable[..., Sharing]] = {
    "hard": HardSharing,
    "adapters": Adapters,
    "mtan": MTAN,
    "mmoe": partial(MMoE, experts=3, reduction=2),
    "routed": partial(Routed, experts=3, top=2, reduction=2),
    "cross_stitch": CrossStitch,
    "hierarchical": Hierarchical,
    "branched": Branched,
    "adashare": adashare,
    "adversarial": partial(AdversarialSharing, width=16, strength=1.0, difference=0.5),
}
NO_BATCH_NORM = {**BUILD, "mtan": partial(MTAN, norm="group")}
"""For comparisons in which an image's features must not depend on the others of its batch."""

THREE = ("classification", "detection", "semantic")
ALL = (*THREE, "instance")
LABELLED = [frozenset({"classes", "boxes", "semantic", "masks"}), frozenset({"classes", "boxes"})] * 2
"""Of four images, two have masks."""
DENSE = [frozenset({"classes", "boxes", "semantic"})] * 4


def parameters_of(task: str, names: Any) -> set[str]:
    """Those of the names of parameters that belong to one task: its head, and its own part of the sharing."""
    return {name for name in names if task in name.split(".")}
