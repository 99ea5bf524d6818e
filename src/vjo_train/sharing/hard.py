"""Hard parameter sharing: every task sees the same features (Caruana 1997)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from vjo_train.sharing.base import Sharing
from vjo_train.sharing.features import SharedFeatures, summary
from vjo_train.sharing.pyramid import channels, pyramid, read_by, trainable, views


class HardSharing(Sharing):
    """One backbone and one neck for all tasks.

    Args:
        backbone: images -> `c2`..`c5`.
        neck: `c2`..`c5` -> `p2`..`p7`, added to the backbone's own levels.
        levels: task -> the features that its head reads; the neck runs only where one of them is its own.
    """

    def __init__(self, *, backbone: nn.Module, neck: nn.Module, levels: Mapping[str, Sequence[str]]) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = neck
        self.levels = {task: tuple(names) for task, names in levels.items()}

    def forward(self, images: Tensor, tasks: Sequence[str]) -> SharedFeatures:
        read = read_by(self.levels[task] for task in tasks)
        if {level in channels(self.backbone) for level in read} == {True, False}:
            return self._cut_before_the_neck(images, tasks, read)
        features = pyramid(self.backbone, self.neck, images, read)
        return SharedFeatures(
            tasks={task: features for task in tasks},
            representation=[features[level] for level in read],
            summary=summary(features["c5"]),
        )

    def _cut_before_the_neck(self, images: Tensor, tasks: Sequence[str], read: Sequence[str]) -> SharedFeatures:
        """Where one task reads the backbone and another the neck, their gradients first meet at the backbone's end."""
        ends = views(self.backbone(images))
        features = ends | self.neck(ends, read)
        return SharedFeatures(
            tasks={task: features for task in tasks},
            representation=list(ends.values()),
            behind=trainable(self.neck),
            summary=summary(ends["c5"]),
        )

    def shared_parameters(self) -> list[nn.Parameter]:
        return trainable(self.backbone, self.neck)
