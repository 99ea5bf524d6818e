"""Multi-task Network Cascades (Dai, He, Sun 2016): boxes, then masks from boxes, then categories from both."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from annotated_types import Ge, Interval
from torch import Tensor, nn
from torchvision.models.detection.faster_rcnn import TwoMLPHead

from vjo_train.heads.class_rows import ClassRows, of_layer
from vjo_train.heads.detection.boxes import clip, decode
from vjo_train.heads.detection.faster_rcnn import class_loss, offset_loss
from vjo_train.heads.detection.objects import Objects
from vjo_train.heads.detection.proposals import proposal_loss
from vjo_train.heads.detection.regions import OFFSET_WEIGHTS, RESOLUTION, RegionOutputs, Regions, in_type_of
from vjo_train.heads.instance.base import POOLED, InstanceHead, MaskBranch, regions_with_masks
from vjo_train.heads.instance.masks import mask_loss

REGIONS_AT_ONCE = 1024
"""How many regions go through the later stages together in evaluation."""


class MNC(InstanceHead):
    """A cascade in which each stage takes what the one before has found.

    1. Boxes of any class, by a proposal network.
    2. A mask for each box, of any class, from the features pooled in it.
    3. A category for each box, from its features and from its features times its mask: two paths of two layers each,
       joined before the last one.

    With five stages the third also moves the boxes (by the offsets of the best category, so that there are no more
    boxes), and the second and third are run again on the moved boxes, with the same weights, in training as in
    evaluation. Five stages rank better; three are cheaper.

    Three losses, whose sum is the head's (and which `split_losses` parts): `box` is that of the proposals, and with
    five stages of the offsets too; `mask` that of `mask_loss`, and `category` the mean cross-entropy of the sampled
    regions, both added up over the times that their stages run. Through the masks, the category loss trains the second
    stage too.

    Deviations from the paper: RoIAlign in the place of RoI warping, which has no gradient to its boxes, so that the
    later losses do not train the boxes through the pooling (the shared features carry all that the stages learn from
    one another about boxes); a feature pyramid; masks by convolutions (`MaskBranch`) in the place of two linear
    layers; non-maximum suppression by boxes instead of mask voting.

    Args:
        stages: 3 or 5.
        mask_depth: 3x3 convolutions of the second stage.
        mask_width: their channels; as the levels if None.
        hidden: width of the two layers of each path of the third stage.
        proposals: boxes per image that leave the first stage in training.
        rois_per_image: proposals sampled for the later stages' losses.
        detections_per_image: boxes per image that leave the last non-maximum suppression; each has a mask of the
            image's size.
        options: those of `RegionHead`.

    Raises:
        ConfigError: levels that are not there or differ in channels.
    """

    def __init__(
        self,
        *,
        stages: Literal[3, 5] = 5,
        mask_depth: Annotated[int, Interval(ge=0, le=8)] = 2,
        mask_width: Annotated[int, Ge(8)] | None = 64,
        hidden: Annotated[int, Ge(8)] = 1024,
        proposals: Annotated[int, Ge(1)] = 300,
        rois_per_image: Annotated[int, Ge(4)] = 64,
        detections_per_image: Annotated[int, Ge(1)] = 50,
        **options: Any,
    ) -> None:
        super().__init__(
            proposals=proposals, rois_per_image=rois_per_image, detections_per_image=detections_per_image, **options
        )
        self.stages = stages
        channels = self.pooled_channels
        self.mask_branch = MaskBranch(channels, 1, mask_depth, mask_width or channels)
        self.box_path = TwoMLPHead(channels * RESOLUTION**2, hidden)
        self.mask_path = TwoMLPHead(channels * RESOLUTION**2, hidden)
        self.category = nn.Linear(2 * hidden, self.num_classes + 1)
        nn.init.normal_(self.category.weight, std=0.01)
        nn.init.zeros_(self.category.bias)
        self.offsets = nn.Linear(2 * hidden, self.num_classes * 4) if stages == 5 else None
        if self.offsets is not None:
            nn.init.normal_(self.offsets.weight, std=0.001)
            nn.init.zeros_(self.offsets.bias)

    def class_rows(self) -> dict[str, ClassRows]:
        rows = of_layer("category", ClassRows(background="last"))
        return rows if self.offsets is None else rows | of_layer("offsets", ClassRows(each=4))

    def losses_by_part(self, outputs: RegionOutputs, objects: Objects) -> dict[str, Tensor]:
        box = proposal_loss(outputs.proposals, objects, self.anchors_per_image)
        regions = self.sample_regions(outputs, objects)
        masks, logits, offsets = self._later_stages(outputs.features, regions.boxes, regions.image)
        mask = _mask_loss(masks, regions, objects)
        category = class_loss(logits, regions, objects)
        if offsets is not None:
            box = box + offset_loss(offsets, regions, objects)
            boxes = move(regions.boxes, logits, offsets, objects.sizes[regions.image])
            regions = regions.moved(boxes, objects)
            masks, logits, _ = self._later_stages(outputs.features, regions.boxes, regions.image)
            mask = mask + _mask_loss(masks, regions, objects)
            category = category + class_loss(logits, regions, objects)
        return {"box": box, "mask": mask, "category": category}

    def modules_by_part(self) -> dict[str, list[nn.Module]]:
        if self.offsets is None:
            return {"box": [self.proposal_head], "mask": [], "category": [self.box_path, self.mask_path, self.category]}
        return {"box": [self.proposal_head, self.offsets], "mask": [], "category": [self.category]}

    def scored_boxes(self, outputs: RegionOutputs, sizes: Tensor) -> tuple[Tensor, Tensor]:
        boxes, present = self.propose(outputs, sizes)
        image, place = present.nonzero(as_tuple=True)
        scores = boxes.new_zeros(*present.shape, self.num_classes)
        everything = torch.arange(image.shape[0], device=image.device)
        # A graph for another program has no loops.
        parts = [everything] if torch.compiler.is_exporting() else torch.split(everything, REGIONS_AT_ONCE)
        for part in parts:
            of, at = image[part], place[part]
            regions = boxes[of, at]
            _, logits, offsets = self._later_stages(outputs.features, regions, of)
            if offsets is not None:
                regions = move(regions, logits, offsets, sizes[of])
                _, logits, _ = self._later_stages(outputs.features, regions, of)
                boxes[of, at] = regions
            scores[of, at] = logits.softmax(1)[:, :-1]
        return scores, boxes

    def masks(self, outputs: RegionOutputs, boxes: Tensor, image: Tensor, labels: Tensor) -> Tensor:
        pooled = self.pool(outputs.features, boxes, image, POOLED)
        with in_type_of(outputs.features[0]):
            logits: Tensor = self.mask_branch(pooled)
        return logits[:, 0].float().sigmoid()

    def _later_stages(
        self, features: list[Tensor], boxes: Tensor, image: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Stages two and three on boxes [M, 4] of the images [M], in float32.

        Returns:
            Logits of masks [M, 28, 28], of categories [M, C + 1], background last, and with five stages offsets
            [M, C, 4].
        """
        pooled = self.pool(features, boxes, image, POOLED)
        with in_type_of(features[0]):
            masks = self.mask_branch(pooled)
            inside = pooled * F.avg_pool2d(masks.sigmoid(), 2)
            boxes_alone, masked = (_halved(some).movedim(1, -1) for some in (pooled, inside))
            joined = torch.cat([self.box_path(boxes_alone), self.mask_path(masked)], dim=1)
            logits = self.category(joined)
            offsets = None if self.offsets is None else self.offsets(joined)
        moves = None if offsets is None else offsets.float().unflatten(1, (self.num_classes, 4))
        return masks[:, 0].float(), logits.float(), moves


def move(boxes: Tensor, logits: Tensor, offsets: Tensor, sizes: Tensor) -> Tensor:
    """Boxes [M, 4] moved by the offsets of their best category that is not background; without gradient.

    Args:
        boxes: in canvas pixels.
        logits: [M, C + 1], background last.
        offsets: [M, C, 4].
        sizes: [M, 2] height and width of each box's image, to which it is cut.
    """
    best = logits.detach()[:, :-1].argmax(1)
    own = offsets.detach()[torch.arange(best.shape[0], device=best.device), best]
    return clip(decode(own, boxes, OFFSET_WEIGHTS)[:, None], sizes)[:, 0]


def _mask_loss(logits: Tensor, regions: Regions, objects: Objects) -> Tensor:
    trained = regions_with_masks(regions, objects)
    return mask_loss(logits[trained], regions, trained, objects)


def _halved(pooled: Tensor) -> Tensor:
    """[M, channels, 14, 14] -> [M, channels, 7, 7], the greatest of each four cells."""
    return F.max_pool2d(pooled, POOLED // RESOLUTION)
