"""Plain vision transformers of timm with a simple feature pyramid (extra `timm`)."""

from __future__ import annotations

from typing import Annotated, Any

import torch.nn.functional as F
from annotated_types import Interval
from torch import Tensor, nn

from vjo_train.backbones.base import FeatureNet
from vjo_train.backbones.simple_pyramid import SimplePyramid
from vjo_train.backbones.timm_network import Recentred, create
from vjo_train.errors import ConfigError
from vjo_train.types import Features

STRIDE = 16
"""Pixels of the canvas per cell of the transformer's grid."""


class ViT(FeatureNet):
    """A plain vision transformer (Dosovitskiy et al. 2021): DINOv2, DINOv3, MAE, CLIP, SigLIP and others of timm.

    `SimplePyramid` makes `c2`..`c5` of the last block's output behind the network's last norm. The grid has a cell for
    each 16 x 16 pixels of the canvas: where the network's patches have another size, such as 14, the pictures are
    resized so that they do. Position embeddings are interpolated to the grid. Attention is global in every block, while
    the paper's is in windows in most of them, so memory and time grow with the square of the canvas's area.

    Args:
        name: any name that timm lists, with the tag of its weights, such as `vit_small_patch14_dinov2.lvd142m`,
            `vit_base_patch16_224.mae` or `vit_small_patch16_dinov3.lvd1689m`.
        weights: `imagenet` (timm's weights of this name and tag, whatever they were trained on, fetched once), a file
            with the state dict of timm's network (`.pth` or `.safetensors`), or None.
        frozen_stages: how many quarters of the blocks, from the image on, are not trained; 4: only the pyramid is.

    Raises:
        ConfigError: timm is not installed, the name is unknown, or no plain transformer for pictures of any size.
    """

    def __init__(
        self, *, name: str, weights: str | None = None, frozen_stages: Annotated[int, Interval(ge=0, le=4)] = 0
    ) -> None:
        network = _plain(name, weights)
        pyramid = SimplePyramid(network.embed_dim)
        super().__init__(pyramid.channels)
        self.network, self.pyramid = network, pyramid
        self.recentred = Recentred(name)
        self.patch = int(network.feature_info[-1]["reduction"])
        if frozen_stages == 4:
            self.freeze([network])
        elif frozen_stages > 0:
            self.freeze([network.patch_embed, *network.blocks[: frozen_stages * len(network.blocks) // 4]])
            for parameter in self.parameters_by_depth()[0]:
                parameter.requires_grad_(False)

    def forward(self, images: Tensor) -> Features:
        """[B, 3, S, S] -> {"c2": [B, C2, S/4, S/4], .., "c5": [B, C5, S/32, S/32]}, whole cells of 16 pixels."""
        height, width = images.shape[2:]
        rows, columns = -(-height // STRIDE), -(-width // STRIDE)
        if (height, width) != (rows * STRIDE, columns * STRIDE):
            images = F.pad(images, (0, columns * STRIDE - width, 0, rows * STRIDE - height))
        images = self.recentred(images)
        if self.patch != STRIDE:
            size = (rows * self.patch, columns * self.patch)
            images = F.interpolate(images, size=size, mode="bilinear", align_corners=False)
        (grid,) = self.network.forward_intermediates(images, indices=1, norm=True, intermediates_only=True)
        features: Features = self.pyramid(grid)
        return features

    def parameters_by_depth(self) -> list[list[nn.Parameter]]:
        """What turns pictures into tokens, then block by block; without last norm and pyramid, as in ViTDet."""
        blocks = [list(block.parameters()) for block in self.network.blocks]
        known = {id(p) for block in [*blocks, list(self.network.norm.parameters())] for p in block}
        return [[p for p in self.network.parameters() if id(p) not in known], *blocks]


def _plain(name: str, weights: str | None) -> Any:
    """The transformer without classifier and pooling."""
    try:
        network = create(name, weights, num_classes=0, dynamic_img_size=True)
    except TypeError as error:
        raise ConfigError(
            f"backbone.name: {name} is no plain vision transformer for pictures of any size ({error}); for networks"
            " with features at strides 4 to 32 use backbone=timm."
        ) from error
    network.prune_intermediate_layers(1, prune_norm=False, prune_head=True)
    return network
