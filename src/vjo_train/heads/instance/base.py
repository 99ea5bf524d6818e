"""What the instance heads share: which images are labelled, masks in the image file's pixels, the mask branch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from vjo_train.heads.detection.dense import tower
from vjo_train.heads.detection.objects import Objects
from vjo_train.heads.detection.regions import RegionHead, RegionOutputs, Regions
from vjo_train.heads.instance.masks import paste_masks, place_masks, with_pixels
from vjo_train.heads.instance.metrics import InstanceMetrics
from vjo_train.types import Batch, Detections, Frames

POOLED = 14
"""Cells per side that a region is pooled into for its mask; the mask has twice as many."""


class InstanceHead(RegionHead):
    """Base of the instance heads: boxes as a detection head finds them, then a mask for each box that is left.

    Only images with object masks are labelled. Objects without a pixel in the mask (all of them void or hidden) train
    boxes and classes, and no mask.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"boxes", "masks"})
    monitor: ClassVar[str] = "map_r50"
    difficulty: ClassVar[int] = 4
    task: ClassVar[str] = "instance"

    @abstractmethod
    def masks(self, outputs: RegionOutputs, boxes: Tensor, image: Tensor, labels: Tensor) -> Tensor:
        """Probabilities [M, 28, 28] float32 of the cells of boxes [M, 4] in canvas pixels, by image and class [M]."""

    @torch.no_grad()
    def decoded(self, outputs: RegionOutputs, frames: Frames) -> dict[str, Tensor]:
        """As of a detection head, and `masks` [B, N, 28, 28] float32: probabilities of the cells of each box."""
        found = super().decoded(outputs, frames)
        image, place = (found["labels"] >= 0).nonzero(as_tuple=True)
        boxes = found["boxes"][image, place] * frames.scales[image, None]
        with torch.autocast(boxes.device.type, enabled=False):
            own = self.masks(outputs, boxes, image, found["labels"][image, place])
        masks = own.new_zeros(*found["labels"].shape, 2 * POOLED, 2 * POOLED)
        masks[image, place] = own
        return {**found, "masks": masks}

    def predictions(self, decoded: Mapping[str, Tensor], batch: Batch) -> list[Detections]:
        """The objects found in each image with their masks, in the pixels of its file.

        The masks of an image take `detections_per_image` x its pixels in bytes.
        """
        found = super().predictions(decoded, batch)
        rows = zip(found, decoded["masks"], batch.originals, strict=True)
        return [replace(one, masks=paste_masks(m[: len(one.boxes)], one.boxes, t.size)) for one, m, t in rows]

    def pieces(self, decoded: Mapping[str, Tensor], batch: Batch) -> list[Detections]:
        """As `predictions`, of each mask no more than lies in its box."""
        found = super().predictions(decoded, batch)
        rows = zip(found, decoded["masks"], batch.originals, strict=True)
        return [replace(one, masks=place_masks(m[: len(one.boxes)], one.boxes, t.size)) for one, m, t in rows]

    def metrics(self) -> InstanceMetrics:
        return InstanceMetrics(self.num_classes)


def regions_with_masks(regions: Regions, objects: Objects) -> Tensor:
    """[M] bool: the regions that are matched with an object whose mask has pixels."""
    there = with_pixels(objects)[regions.image, regions.objects.clamp(min=0)]
    return regions.hit & there


class MaskBranch(nn.Module):
    """Features of regions -> logits of masks of twice the size: 3x3 convolutions, a transposed one, a 1x1 one.

    After Mask R-CNN (He, Gkioxari, Dollar, Girshick 2017). Deviation: group norm in the convolutions (the paper has
    none, `norm=none`), as training from random weights needs it.

    Args:
        inputs: channels of the features.
        outputs: masks per region.
        depth: 3x3 convolutions.
        width: their channels.
        norm: behind them.
    """

    def __init__(
        self, inputs: int, outputs: int, depth: int, width: int, norm: Literal["group", "none"] = "group"
    ) -> None:
        super().__init__()
        self.tower = tower(inputs, width, depth, norm)
        self.transposed = nn.ConvTranspose2d(width if depth else inputs, width, 2, stride=2)
        self.logits = nn.Conv2d(width, outputs, 1)
        for layer in (self.transposed, self.logits):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    def forward(self, pooled: Tensor) -> Tensor:
        """[M, inputs, s, s] -> [M, outputs, 2 s, 2 s]."""
        logits: Tensor = self.logits(self.transposed(self.tower(pooled)).relu())
        return logits
