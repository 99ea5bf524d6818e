"""The contract of a backbone."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from vjo_train.types import Features

LEVELS = ("c2", "c3", "c4", "c5")


class Backbone(nn.Module):
    """Four stages in a row, whose outputs `c2`..`c5` have strides 4, 8, 16, 32.

    Args:
        stages: the four stages; the first takes normalised images [B, 3, S, S].
        channels: of `c2`..`c5`.
        frozen_stages: how many stages, from the image on, are not trained: their parameters get no gradient and
            their BatchNorms keep their statistics.
    """

    def __init__(self, stages: Sequence[nn.Module], channels: Sequence[int], frozen_stages: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.channels = dict(zip(LEVELS, channels, strict=True))
        self.frozen_stages = frozen_stages
        for stage in self.stages[:frozen_stages]:
            stage.requires_grad_(False)

    def forward(self, images: Tensor) -> Features:
        """[B, 3, S, S] -> {"c2": [B, C2, S/4, S/4], .., "c5": [B, C5, S/32, S/32]}."""
        features: Features = {}
        for level, stage in zip(LEVELS, self.stages, strict=True):
            images = stage(images)
            features[level] = images
        return features

    def train(self, mode: bool = True) -> Backbone:
        """Sets the mode; frozen stages stay in evaluation mode."""
        super().train(mode)
        for stage in self.stages[: self.frozen_stages]:
            stage.eval()
        return self
