"""Adapters: small layers of each task's own on a shared backbone, before the shared neck."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from annotated_types import Ge
from torch import Tensor, nn

from vjo_train.sharing.features import SharedFeatures, summary
from vjo_train.sharing.hard import HardSharing
from vjo_train.sharing.mmoe import expert
from vjo_train.sharing.pyramid import channels, inputs_of, reads_neck, trainable, views
from vjo_train.types import Features


class Adapters(HardSharing):
    """Hard sharing, and a residual bottleneck per task on every level of the backbone that the task needs.

    Task k sees x + a_k(x) in the place of a level x of the backbone: a_k is a 1x1, a 3x3 and a 1x1 convolution,
    narrower inside by `reduction`, with group norms of the task's own. The neck runs once for each task that reads it,
    with the same weights. The last convolution of a_k is zero at the start, so that the network begins as that of hard
    sharing, to the bit.

    After residual adapters (Rebuffi, Bilen, Vedaldi 2017, "Learning multiple visual domains with residual adapters"),
    task-specific residual adapters (Maninis, Radosavovic, Kokkinos 2019, "Attentive Single-Tasking of Multiple Tasks")
    and Polyhistor (Liu et al. 2022). Those adapt inside every block, so that the backbone runs once per task; here it
    runs once for all, and the adapters and the neck are what a further task costs.

    Backbone and neck are shared; adapters are the tasks' own. `weighting.at=features` takes the gradients at the
    backbone's levels.

    Args:
        backbone: images -> `c2`..`c5`, with `channels`.
        neck: `c2`..`c5` -> `p2`..`p7`, with `inputs`.
        levels: task -> the features that its head reads.
        reduction: by how much an adapter has fewer channels inside than its level.

    Raises:
        ConfigError: the neck does not say what it reads.
    """

    def __init__(
        self,
        *,
        backbone: nn.Module,
        neck: nn.Module,
        levels: Mapping[str, Sequence[str]],
        reduction: Annotated[int, Ge(1)] = 4,
    ) -> None:
        super().__init__(backbone=backbone, neck=neck, levels=levels)
        widths = channels(backbone)
        self.adapters = nn.ModuleDict(
            {
                task: nn.ModuleDict({level: adapter(widths[level], reduction) for level in self._needed(names)})
                for task, names in self.levels.items()
            }
        )

    def forward(self, images: Tensor, tasks: Sequence[str]) -> SharedFeatures:
        ends = views(self.backbone(images))
        read = {level for task in tasks for level in self.levels[task]}
        return SharedFeatures(
            tasks={task: self._adapted(task, ends) for task in tasks},
            representation=list(ends.values()),
            behind=trainable(self.neck) if reads_neck(self.backbone, read) else [],
            summary=summary(ends["c5"]),
        )

    def _adapted(self, task: str, ends: Features) -> Features:
        """The levels that the task's head reads."""
        own, names = self.adapters[task], self.levels[task]
        assert isinstance(own, nn.ModuleDict)
        features = {level: ends[level] + layers(ends[level]) for level, layers in own.items()}
        if reads_neck(self.backbone, names):
            features |= self.neck(features, names)
        return {level: features[level] for level in names}

    def _needed(self, names: Sequence[str]) -> list[str]:
        """The levels of the backbone that a head or the neck before it reads."""
        own = set(names) & channels(self.backbone).keys()
        return sorted(own | set(inputs_of(self.neck, names)))


def adapter(width: int, reduction: int) -> nn.Sequential:
    """What an adapter adds to its input [B, width, h, w]; nothing at the start."""
    layers = expert(width, max(1, width // reduction))
    last = layers[-1]
    assert isinstance(last, nn.Conv2d)
    for parameter in last.parameters():
        nn.init.zeros_(parameter)
    return layers
