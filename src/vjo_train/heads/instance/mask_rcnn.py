"""Mask R-CNN (He, Gkioxari, Dollar, Girshick 2017)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Interval
from torch import Tensor, nn

from vjo_train.heads.class_rows import ClassRows, of_layer
from vjo_train.heads.detection.faster_rcnn import FasterRCNN
from vjo_train.heads.detection.objects import Objects
from vjo_train.heads.detection.regions import RegionOutputs, Regions, in_type_of
from vjo_train.heads.instance.base import POOLED, InstanceHead, MaskBranch, regions_with_masks
from vjo_train.heads.instance.masks import mask_loss


class MaskRCNN(InstanceHead, FasterRCNN):
    """Faster R-CNN, and beside its box branch one that gives each region a mask per class.

    The loss of an image is that of Faster R-CNN + `mask_loss` of the masks of the objects' own classes, on the
    sampled regions that are matched with an object; it is the part `mask` for `split_losses`. In evaluation masks are
    made for the boxes that are left.

    Args:
        mask_depth: 3x3 convolutions of the mask branch.
        mask_width: their channels; as the levels if None.
        mask_norm: behind them.
        detections_per_image: boxes per image that leave the last non-maximum suppression; each has a mask of the
            image's size.
        options: those of `FasterRCNN`.

    Raises:
        ConfigError: levels that are not there or differ in channels.
    """

    def __init__(
        self,
        *,
        mask_depth: Annotated[int, Interval(ge=0, le=8)] = 4,
        mask_width: Annotated[int, Ge(8)] | None = None,
        mask_norm: Literal["group", "none"] = "group",
        detections_per_image: Annotated[int, Ge(1)] = 50,
        **options: Any,
    ) -> None:
        super().__init__(detections_per_image=detections_per_image, **options)
        channels = self.pooled_channels
        self.mask_branch = MaskBranch(channels, self.num_classes, mask_depth, mask_width or channels, mask_norm)
        self.mask_norm = mask_norm

    def class_rows(self) -> dict[str, ClassRows]:
        return super().class_rows() | of_layer("mask_branch.logits", ClassRows())

    def losses_by_part(self, outputs: RegionOutputs, objects: Objects) -> dict[str, Tensor]:
        regions = self.sample_regions(outputs, objects)
        return self.box_losses(outputs, regions, objects) | {"mask": self._mask_loss(outputs, regions, objects)}

    def modules_by_part(self) -> dict[str, list[nn.Module]]:
        return super().modules_by_part() | {"mask": [self.mask_branch]}

    def _mask_loss(self, outputs: RegionOutputs, regions: Regions, objects: Objects) -> Tensor:
        trained = regions_with_masks(regions, objects)
        image = regions.image[trained]
        labels = objects.classes[image, regions.objects[trained]]
        logits = self._mask_logits(outputs, regions.boxes[trained], image, labels)
        return mask_loss(logits, regions, trained, objects)

    def masks(self, outputs: RegionOutputs, boxes: Tensor, image: Tensor, labels: Tensor) -> Tensor:
        return self._mask_logits(outputs, boxes, image, labels).sigmoid()

    def _mask_logits(self, outputs: RegionOutputs, boxes: Tensor, image: Tensor, labels: Tensor) -> Tensor:
        """[M, 28, 28] float32 of the classes [M]."""
        pooled = self.pool(outputs.features, boxes, image, POOLED)
        with in_type_of(outputs.features[0]):
            logits: Tensor = self.mask_branch(pooled)
        return logits[torch.arange(labels.shape[0], device=labels.device), labels].float()
