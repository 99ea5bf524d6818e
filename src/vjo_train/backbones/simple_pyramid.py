"""The simple feature pyramid of plain backbones (Li, Mao, Girshick, He 2022)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.convnext import LayerNorm2d

from vjo_train.types import Features


class SimplePyramid(nn.Module):
    """`c2`..`c5` from one map at stride 16 ("Exploring Plain Vision Transformer Backbones for Object Detection").

    `c3` is one deconvolution of the map by 2, `c2` are two of them with LayerNorm and GELU between, `c4` is the map,
    `c5` its maximum over cells two by two. The 1x1 and 3x3 convolutions that follow in the paper are the neck's.

    Args:
        width: channels of the map.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.channels = [width // 4, width // 2, width, width]
        self.c2 = nn.Sequential(
            _doubled(width, width // 2), LayerNorm2d(width // 2), nn.GELU(), _doubled(width // 2, width // 4)
        )
        self.c3 = _doubled(width, width // 2)

    def forward(self, x: Tensor) -> Features:
        """[B, width, h, w] -> {"c2": [B, width/4, 4h, 4w], .., "c5": [B, width, h/2, w/2]}, rounded up."""
        return {"c2": self.c2(x), "c3": self.c3(x), "c4": x, "c5": F.max_pool2d(x, 2, ceil_mode=True)}


def _doubled(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(inputs, outputs, 2, stride=2)
