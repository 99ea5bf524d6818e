"""Hard parameter sharing: every task sees the same features (Caruana 1997)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from vjo_train.sharing.base import Sharing
from vjo_train.types import SharedFeatures


class HardSharing(Sharing):
    """One backbone and one neck for all tasks.

    Args:
        backbone: images -> `c2`..`c5`.
        neck: `c2`..`c5` -> `p2`..`p7`, added to the backbone's own levels.
    """

    def __init__(self, *, backbone: nn.Module, neck: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = neck

    def forward(self, images: Tensor, tasks: Sequence[str]) -> SharedFeatures:
        pyramid = self.backbone(images)
        features = {**pyramid, **self.neck(pyramid)}
        return SharedFeatures(tasks={task: features for task in tasks}, representation=list(features.values()))

    def shared_parameters(self) -> list[nn.Parameter]:
        return [p for p in self.parameters() if p.requires_grad]
