"""Hard parameter sharing: every task sees the same features (Caruana 1997)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from vjo_train.sharing.base import Sharing
from vjo_train.types import SharedFeatures


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
        features = self.backbone(images)
        read = {level for task in tasks for level in self.levels[task]}
        if not read <= features.keys():
            features = features | self.neck(features)
        # Views, so that c5 beside the levels built from it ends the shared part as a tensor of its own.
        features = {level: feature.view_as(feature) for level, feature in features.items()}
        representation = [features[level] for level in sorted(read)]
        return SharedFeatures(tasks={task: features for task in tasks}, representation=representation)

    def shared_parameters(self) -> list[nn.Parameter]:
        return [p for p in self.parameters() if p.requires_grad]
