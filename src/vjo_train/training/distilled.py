"""Teachers in the training step: the features of each task follow those of a network that was trained for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from vjo_train.distill.features import FeatureDistillation
from vjo_train.heads.base import Head
from vjo_train.sharing.base import Sharing
from vjo_train.sharing.features import SharedFeatures
from vjo_train.training.self_supervised import WithHelpers


class Distilled(WithHelpers):
    """Holds the teachers, and what lies between them and the network.

    Args:
        sharing: images -> features of each task.
        heads: task -> head.

    Attributes:
        distill: the teachers; None where there are none.
        channels: of every level of the pyramid.
    """

    def __init__(self, sharing: Sharing, heads: Mapping[str, Head]) -> None:
        super().__init__(sharing, heads)
        self.distill: FeatureDistillation | None = None
        self.channels: Mapping[str, int] = {}

    def on_fit_start(self) -> None:
        """Moves the teachers to where the network is."""
        super().on_fit_start()
        if self.distill is not None:
            self.distill.start(self.device)

    def followed(self, images: Tensor, shared: SharedFeatures) -> SharedFeatures:
        """The same features, with their distances from those of the teachers as further losses.

        Args:
            images: [B, 3, H, W] in 0..255.
            shared: what the heads are given of them.
        """
        if self.distill is None:
            return shared
        return replace(shared, auxiliary={**shared.auxiliary, **self.distill.losses(images, shared)})
