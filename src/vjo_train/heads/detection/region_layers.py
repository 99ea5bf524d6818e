"""The layers of detectors with two stages, under the names that torchvision's have, as it starts them.

Written down here because importing torchvision imports torch's compiler, which takes longer than a prediction does.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn


class ProposalLayers(nn.Module):
    """A 3x3 convolution over each level, and 1x1 ones for the objectness and the offsets of the anchors of a cell.

    Args:
        channels: of the levels.
        anchors: of a cell, A.
    """

    def __init__(self, channels: int, anchors: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(inplace=True)))
        self.cls_logits = nn.Conv2d(channels, anchors, 1)
        self.bbox_pred = nn.Conv2d(channels, 4 * anchors, 1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=0.01)
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)

    def forward(self, levels: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """[B, channels, h, w] of each level -> of each, the objectness [B, A, h, w] and the offsets [B, 4 A, h, w]."""
        shared = [self.conv(level) for level in levels]
        return [self.cls_logits(own) for own in shared], [self.bbox_pred(own) for own in shared]


class TwoLayers(nn.Module):
    """Two linear layers with ReLU: [M, ...] -> [M, outputs].

    Args:
        inputs: numbers of a region.
        outputs: width of both layers.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.fc6 = nn.Linear(inputs, outputs)
        self.fc7 = nn.Linear(outputs, outputs)

    def forward(self, regions: Tensor) -> Tensor:
        """[M, ...] -> [M, outputs]."""
        return F.relu(self.fc7(F.relu(self.fc6(regions.flatten(1)))))
