"""Keypoint R-CNN (He, Gkioxari, Dollar, Girshick 2017, section 5): a heat map for each point of each box."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from annotated_types import Ge, Interval
from torch import Tensor, nn

from vjo_train.heads.detection.dense import sum_per_image, tower
from vjo_train.heads.detection.faster_rcnn import FasterRCNN
from vjo_train.heads.detection.objects import Objects
from vjo_train.heads.detection.regions import RegionOutputs, Regions, in_type_of
from vjo_train.heads.instance.base import POOLED, MaskBranch
from vjo_train.heads.keypoints.base import KeypointHead
from vjo_train.heads.keypoints.heat_maps import heat_map_loss, points_of_maps
from vjo_train.types import Frames


class KeypointRCNN(KeypointHead, FasterRCNN):
    """Faster R-CNN, and beside its box branch one that gives each region a heat map of 56 x 56 cells per point.

    The loss of an image is that of Faster R-CNN + `heat_map_loss`, the mean over all known points of the sampled
    regions that are matched with an object; it is the part `points` for `split_losses`. The branch's
    28 x 28 cells are enlarged by bilinear interpolation, as in the paper. In evaluation points are found
    in the boxes that are left.

    Args:
        point_depth: 3x3 convolutions of the point branch (the paper: 8).
        point_width: their channels (the paper: 512); as the levels if None.
        point_layers: `masks` is the branch of Mask R-CNN, `paper` the paper's (and torchvision's): convolutions without
            norm, and a transposed one of 4x4 that gives the maps itself.
        options: those of `KeypointHead` and `FasterRCNN`.

    Raises:
        ConfigError: levels that are not there or differ in channels; wrong `sigmas`.
    """

    def __init__(
        self,
        *,
        point_depth: Annotated[int, Interval(ge=0, le=8)] = 4,
        point_width: Annotated[int, Ge(8)] | None = None,
        point_layers: Literal["masks", "paper"] = "masks",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        channels = self.pooled_channels
        self.point_layers = point_layers
        branch = MaskBranch if point_layers == "masks" else PaperBranch
        self.point_branch: nn.Module = branch(channels, self.points, point_depth, point_width or channels)

    def losses_by_part(self, outputs: RegionOutputs, objects: Objects) -> dict[str, Tensor]:
        regions = self.sample_regions(outputs, objects)
        return self.box_losses(outputs, regions, objects) | {"points": self._point_loss(outputs, regions, objects)}

    def modules_by_part(self) -> dict[str, list[nn.Module]]:
        return super().modules_by_part() | {"points": [self.point_branch]}

    def _point_loss(self, outputs: RegionOutputs, regions: Regions, objects: Objects) -> Tensor:
        """[B]: 0 without known points."""
        image, boxes = regions.image[regions.hit], regions.boxes[regions.hit]
        truth = self.truth(objects, image, regions.objects[regions.hit])
        trained = (truth[..., 2] > 0).any(1)
        logits = self._maps(outputs, boxes[trained], image[trained])
        sums, counts = heat_map_loss(logits, truth[trained], boxes[trained])
        where = torch.zeros_like(regions.chosen).masked_scatter(regions.positive, trained)
        return sum_per_image(sums, where) / sum_per_image(counts, where).clamp(min=1)

    @torch.no_grad()
    def decoded(self, outputs: RegionOutputs, frames: Frames) -> dict[str, Tensor]:
        """As of a detection head, and `keypoints` [B, N, K, 3]: x, y in the image file's pixels, and how sure."""
        found = super().decoded(outputs, frames)
        image, place = (found["labels"] >= 0).nonzero(as_tuple=True)
        boxes = found["boxes"][image, place]
        with torch.autocast(boxes.device.type, enabled=False):
            own = points_of_maps(self._maps(outputs, boxes * frames.scales[image, None], image), boxes)
        points = own.new_zeros(*found["labels"].shape, self.points, 3)
        points[image, place] = own
        return {**found, "keypoints": points}

    def _maps(self, outputs: RegionOutputs, boxes: Tensor, image: Tensor) -> Tensor:
        """Logits [M, K, 56, 56] float32 of boxes [M, 4] in canvas pixels."""
        pooled = self.pool(outputs.features, boxes, image, POOLED)
        with in_type_of(outputs.features[0]):
            logits: Tensor = self.point_branch(pooled)
        return F.interpolate(logits.float(), scale_factor=2.0, mode="bilinear", align_corners=False)


class PaperBranch(nn.Module):
    """Features of regions -> logits of maps of twice the size: 3x3 convolutions, and a transposed one of 4x4.

    Args:
        inputs: channels of the features.
        outputs: maps per region.
        depth: 3x3 convolutions.
        width: their channels.
    """

    def __init__(self, inputs: int, outputs: int, depth: int, width: int) -> None:
        super().__init__()
        self.tower = tower(inputs, width, depth, "none")
        self.transposed = nn.ConvTranspose2d(width if depth else inputs, outputs, 4, stride=2, padding=1)
        for layer in (*self.tower, self.transposed):
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        assert self.transposed.bias is not None
        nn.init.zeros_(self.transposed.bias)

    def forward(self, pooled: Tensor) -> Tensor:
        """[M, inputs, s, s] -> [M, outputs, 2 s, 2 s]."""
        logits: Tensor = self.transposed(self.tower(pooled))
        return logits
