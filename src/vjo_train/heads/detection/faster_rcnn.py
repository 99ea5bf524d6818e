"""Faster R-CNN (Ren, He, Girshick, Sun 2015) on a feature pyramid (Lin et al. 2017)."""

from __future__ import annotations

from typing import Annotated, Any

import torch
import torch.nn.functional as F
from annotated_types import Ge
from torch import Tensor, nn
from torchvision.models.detection.faster_rcnn import TwoMLPHead

from vjo_train.heads.class_rows import ClassRows, of_layer
from vjo_train.heads.detection.boxes import decode, encode
from vjo_train.heads.detection.dense import sum_per_image
from vjo_train.heads.detection.objects import Objects
from vjo_train.heads.detection.proposals import proposal_loss
from vjo_train.heads.detection.regions import (
    OFFSET_WEIGHTS,
    RESOLUTION,
    RegionHead,
    RegionOutputs,
    Regions,
    in_type_of,
)
from vjo_train.heads.unknown import with_unknown


class FasterRCNN(RegionHead):
    """A proposal network over the pyramid, then classes and boxes from features pooled in its proposals.

    The loss of an image is that of its proposals (`proposal_loss`) + cross-entropy + smooth L1 (beta 1/9) of the
    offsets, the last two divided by the number of its sampled regions. Proposals and pooled regions pass no gradient
    to the boxes (the paper's approximate joint training). Parts for `split_losses`: `box` (proposals and offsets) and
    `category`.
    Under autocast the second stage runs in the type of its features.

    Args:
        hidden: width of the second stage's two layers.
        options: those of `RegionHead`.

    Raises:
        ConfigError: levels that are not there or differ in channels.
    """

    def __init__(self, *, hidden: Annotated[int, Ge(8)] = 1024, **options: Any) -> None:
        super().__init__(**options)
        self.roi_head = TwoMLPHead(self.pooled_channels * RESOLUTION**2, hidden)
        self.roi_logits = nn.Linear(hidden, self.num_classes + 1)
        self.roi_offsets = nn.Linear(hidden, self.num_classes * 4)
        for layer, spread in ((self.roi_logits, 0.01), (self.roi_offsets, 0.001)):
            nn.init.normal_(layer.weight, std=spread)
            nn.init.zeros_(layer.bias)

    def class_rows(self) -> dict[str, ClassRows]:
        return of_layer("roi_logits", ClassRows(background="last")) | of_layer("roi_offsets", ClassRows(each=4))

    def losses_by_part(self, outputs: RegionOutputs, objects: Objects) -> dict[str, Tensor]:
        return self.box_losses(outputs, self.sample_regions(outputs, objects), objects)

    def box_losses(self, outputs: RegionOutputs, regions: Regions, objects: Objects) -> dict[str, Tensor]:
        """`box` and `category`, each [B]: what proposals, boxes and classes of the regions cost."""
        first = proposal_loss(outputs.proposals, objects, self.anchors_per_image)
        logits, offsets = self._second_stage(outputs.features, regions.boxes, regions.image)
        return {
            "box": first + offset_loss(offsets, regions, objects),
            "category": class_loss(logits, regions, objects),
        }

    def modules_by_part(self) -> dict[str, list[nn.Module]]:
        return {"box": [self.proposal_head, self.roi_offsets], "category": [self.roi_logits]}

    def scored_boxes(self, outputs: RegionOutputs, sizes: Tensor) -> tuple[Tensor, Tensor]:
        boxes, present = self.propose(outputs, sizes)
        image, place = present.nonzero(as_tuple=True)
        logits, offsets = self._second_stage(outputs.features, boxes[image, place], image)
        scores = logits.new_zeros(*present.shape, self.num_classes)
        moved = logits.new_zeros(*present.shape, self.num_classes, 4)
        scores[image, place] = logits.softmax(1)[:, :-1]
        moved[image, place] = decode(offsets, boxes[image, place][:, None], OFFSET_WEIGHTS)
        return scores, moved

    def _second_stage(self, features: list[Tensor], boxes: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes [M, 4] of the images [M] -> float32 logits [M, C + 1], background last, and offsets [M, C, 4]."""
        pooled = self.pool(features, boxes, image, RESOLUTION)
        with in_type_of(features[0]):
            hidden = self.roi_head(pooled.movedim(1, -1))  # cell by cell, as they lie in memory
            logits, offsets = self.roi_logits(hidden), self.roi_offsets(hidden)
        return logits.float(), offsets.float().unflatten(1, (self.num_classes, 4))


def class_loss(logits: Tensor, regions: Regions, objects: Objects) -> Tensor:
    """[B]: the mean cross-entropy of an image's regions; 0 without any.

    A region without an object is background or of an unknown class; see `with_unknown`.

    Args:
        logits: [M, C + 1], background last.
        regions: M of them.
        objects: what they are matched with.
    """
    classes = objects.classes[regions.image, regions.objects.clamp(min=0)]
    wanted = torch.where(regions.hit, classes, logits.shape[1] - 1)
    if objects.unknown is not None:
        logits = with_unknown(logits, F.pad(objects.unknown, (0, 1))[regions.image], background=-1)
    entropy = F.cross_entropy(logits, wanted, reduction="none")
    return sum_per_image(entropy, regions.chosen) / regions.chosen.sum(1).clamp(min=1)


def offset_loss(offsets: Tensor, regions: Regions, objects: Objects) -> Tensor:
    """[B]: smooth L1 (beta 1/9) of the offsets of an image's matched regions, by the number of all its regions.

    Args:
        offsets: [M, C, 4] of each class; only those of the object's class are trained.
        regions: M of them.
        objects: what they are matched with.
    """
    hit = regions.hit
    image, picked = regions.image[hit], regions.objects[hit]
    truth = encode(objects.boxes[image, picked], regions.boxes[hit], OFFSET_WEIGHTS)
    own = offsets[hit, objects.classes[image, picked]]
    distance = F.smooth_l1_loss(own, truth, beta=1 / 9, reduction="none").sum(1)
    return sum_per_image(distance, regions.positive) / regions.chosen.sum(1).clamp(min=1)
