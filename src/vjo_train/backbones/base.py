"""The contract of a backbone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Self

from torch import Tensor, nn

from vjo_train.types import Features, usual_stride

LEVELS = ("c2", "c3", "c4", "c5")
MEAN = (0.485, 0.456, 0.406)
"""Of ImageNet's pixels in 0..1, red, green and blue; images come to a backbone less it, over `STD`."""
STD = (0.229, 0.224, 0.225)


class FeatureNet(nn.Module):
    """A network that turns images into the levels `c2`..`c5`.

    Args:
        channels: of `c2`..`c5`.
        strides: of `c2`..`c5`, pixels of the canvas per cell; None: 4, 8, 16, 32.
    """

    def __init__(self, channels: Sequence[int], strides: Mapping[str, int] | None = None) -> None:
        super().__init__()
        self.channels = dict(zip(LEVELS, channels, strict=True))
        self.strides = dict(strides or {level: usual_stride(level) for level in LEVELS})
        self._frozen: list[nn.Module] = []

    def parameters_by_depth(self) -> list[list[nn.Parameter]]:
        """The parameters, layer by layer from the image on, for `optimizer.layer_decay`; here no layers are known.

        What is in no layer, such as a last norm, learns at the backbone's full rate.
        """
        return []

    def freeze(self, parts: Iterable[nn.Module]) -> None:
        """Trains `parts` no more: their parameters get no gradient, and they stay in evaluation mode."""
        for part in parts:
            part.requires_grad_(False)
            self._frozen.append(part)

    def train(self, mode: bool = True) -> Self:
        """Sets the mode; what is frozen stays in evaluation mode."""
        super().train(mode)
        for part in self._frozen:
            part.eval()
        return self


class Backbone(FeatureNet):
    """Four stages in a row, whose outputs are `c2`..`c5`.

    Args:
        stages: the four stages; the first takes normalised images [B, 3, S, S].
        channels: of `c2`..`c5`.
        frozen_stages: how many stages, from the image on, are not trained: their parameters get no gradient and
            their BatchNorms keep their statistics.
        strides: of `c2`..`c5`; None: 4, 8, 16, 32.
    """

    def __init__(
        self,
        stages: Sequence[nn.Module],
        channels: Sequence[int],
        frozen_stages: int,
        strides: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__(channels, strides)
        self.stages = nn.ModuleList(stages)
        self.freeze(self.stages[:frozen_stages])

    def forward(self, images: Tensor) -> Features:
        """[B, 3, S, S] -> {"c2": [B, C2, S/4, S/4], .., "c5": [B, C5, S/32, S/32]}, or at the `strides` given."""
        features: Features = {}
        for level, stage in zip(LEVELS, self.stages, strict=True):
            images = stage(images)
            features[level] = images
        return features

    def parameters_by_depth(self) -> list[list[nn.Parameter]]:
        """The four stages."""
        return [list(stage.parameters()) for stage in self.stages]
