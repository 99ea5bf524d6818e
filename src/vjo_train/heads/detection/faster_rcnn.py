"""Faster R-CNN (Ren, He, Girshick, Sun 2015) on a feature pyramid (Lin et al. 2017)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt, Interval
from torch import Tensor, nn
from torchvision.models.detection.faster_rcnn import TwoMLPHead
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import roi_align

from vjo_train.heads.detection.anchors import BACKGROUND, RATIOS, grid_anchors, match
from vjo_train.heads.detection.base import DetectionHead
from vjo_train.heads.detection.boxes import area, decode, encode
from vjo_train.heads.detection.dense import common_channels, rows, stride, sum_per_image
from vjo_train.heads.detection.objects import Objects
from vjo_train.heads.detection.proposals import ProposalOutputs, proposal_loss, propose
from vjo_train.heads.detection.sampling import sample
from vjo_train.types import Features

RESOLUTION = 7
"""Cells per side that a region is pooled into."""
ROI_IOU, ROI_FOREGROUND = 0.5, 0.25
OFFSET_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
"""Brings the second stage's offsets to about unit variance (Girshick 2015)."""


@dataclass
class FasterRCNNOutputs:
    """Raw outputs of the first stage; the second runs on its proposals when the loss or the boxes are asked for."""

    proposals: ProposalOutputs
    features: list[Tensor]
    """What the second stage pools from, finest first."""


class FasterRCNN(DetectionHead):
    """A proposal network over the pyramid, then classes and boxes from features pooled in its proposals.

    The loss of an image is that of its proposals (`proposal_loss`) + cross-entropy + smooth L1 (beta 1/9) of the
    offsets, the last two divided by the number of its sampled regions. At most a quarter of these overlap an object
    at an IoU of 0.5 or more; regions that overlap a difficult object best are never sampled. Proposals and pooled
    regions pass no gradient to the boxes (the paper's approximate joint training).
    Sampling draws from torch's global generator. Under autocast the second stage runs in the type of its features.

    Args:
        channels: of every level of the pyramid.
        num_classes: C.
        levels: the features that give proposals, finest first.
        roi_levels: the features that the second stage pools from, finest first: a region of 224 pixels goes to
            level 4, one of half the side to level 3, and so on.
        anchor_scale: side of a level's square anchor, in strides (4 from p3 on, or 8 from p2 on, start at 32 pixels).
        anchors_per_image: anchors sampled for the proposals' loss.
        proposal_candidates: boxes per level that enter the proposals' non-maximum suppression.
        proposals: boxes per image that leave it.
        rois_per_image: proposals sampled for the second stage's loss.
        hidden: width of the second stage's two layers.
        score_threshold: detections of a lower score are dropped.
        nms_threshold: of two boxes of a class with more IoU than this, the better one stays.
        candidates: boxes per image that enter the last non-maximum suppression.
        detections_per_image: boxes per image that leave it.

    Raises:
        ConfigError: levels that are not there or differ in channels.
    """

    def __init__(
        self,
        *,
        channels: Mapping[str, int],
        num_classes: int,
        levels: Sequence[str] = ("p3", "p4", "p5", "p6", "p7"),
        roi_levels: Sequence[str] = ("p3", "p4", "p5"),
        anchor_scale: Annotated[float, Gt(0)] = 4.0,
        anchors_per_image: Annotated[int, Ge(2)] = 256,
        proposal_candidates: Annotated[int, Ge(1)] = 1000,
        proposals: Annotated[int, Ge(1)] = 1000,
        rois_per_image: Annotated[int, Ge(4)] = 256,
        hidden: Annotated[int, Ge(8)] = 1024,
        score_threshold: Annotated[float, Interval(ge=0, lt=1)] = 0.05,
        nms_threshold: Annotated[float, Interval(ge=0, le=1)] = 0.5,
        candidates: Annotated[int, Ge(1)] = 1000,
        detections_per_image: Annotated[int, Ge(1)] = 100,
    ) -> None:
        super().__init__(num_classes, score_threshold, nms_threshold, candidates, detections_per_image)
        inputs = common_channels("heads.detection.levels", levels, channels)
        pooled = common_channels("heads.detection.roi_levels", roi_levels, channels)
        self.proposal_levels = tuple(levels)
        self.roi_levels = tuple(roi_levels)
        self.levels = (*levels, *(level for level in roi_levels if level not in levels))
        self.anchor_scale = anchor_scale
        self.anchors_per_image = anchors_per_image
        self.proposal_candidates = proposal_candidates
        self.proposals = proposals
        self.rois_per_image = rois_per_image
        self.proposal_head = RPNHead(inputs, len(RATIOS))
        self.roi_head = TwoMLPHead(pooled * RESOLUTION**2, hidden)
        self.roi_logits = nn.Linear(hidden, num_classes + 1)
        self.roi_offsets = nn.Linear(hidden, num_classes * 4)
        for layer, spread in ((self.roi_logits, 0.01), (self.roi_offsets, 0.001)):
            nn.init.normal_(layer.weight, std=spread)
            nn.init.zeros_(layer.bias)

    def forward(self, features: Features) -> FasterRCNNOutputs:
        maps = [features[level] for level in self.proposal_levels]
        objectness, offsets = self.proposal_head(maps)
        shapes = [(feature.shape[2], feature.shape[3]) for feature in maps]
        strides = [stride(level) for level in self.proposal_levels]
        outputs = ProposalOutputs(
            objectness=torch.cat([rows(level, 1) for level in objectness], dim=1)[..., 0],
            offsets=torch.cat([rows(level, 4) for level in offsets], dim=1),
            anchors=grid_anchors(shapes, strides, [self.anchor_scale], maps[0].device),
        )
        return FasterRCNNOutputs(outputs, [features[level] for level in self.roi_levels])

    def losses(self, outputs: FasterRCNNOutputs, objects: Objects) -> Tensor:
        first = proposal_loss(outputs.proposals, objects, self.anchors_per_image)
        return first + self._second_loss(outputs, objects)

    def _second_loss(self, outputs: FasterRCNNOutputs, objects: Objects) -> Tensor:
        boxes, present = propose(outputs.proposals, objects.sizes, self.proposal_candidates, self.proposals)
        # The objects themselves are regions too, so that there are positives from the first step on.
        boxes, present = torch.cat([boxes, objects.boxes], 1), torch.cat([present, objects.real], 1)
        found = match(boxes, objects, ROI_IOU, ROI_IOU, keep_best=False)
        present = present & objects.labelled[:, None]
        positive = present & (found >= 0)
        chosen = sample(positive, present & (found == BACKGROUND), self.rois_per_image, ROI_FOREGROUND)
        image, place = chosen.nonzero(as_tuple=True)
        regions = boxes[image, place]
        logits, offsets = self._second_stage(outputs.features, regions, image)

        picked = found[image, place]
        hit = picked >= 0
        classes = objects.classes[image, picked.clamp(min=0)]
        entropy = F.cross_entropy(logits, torch.where(hit, classes, self.num_classes), reduction="none")
        truth = encode(objects.boxes[image[hit], picked[hit]], regions[hit], OFFSET_WEIGHTS)
        own = offsets[hit, classes[hit]]
        distance = F.smooth_l1_loss(own, truth, beta=1 / 9, reduction="none").sum(1)
        return (sum_per_image(entropy, chosen) + sum_per_image(distance, chosen & positive)) / chosen.sum(1).clamp(
            min=1
        )

    def scored_boxes(self, outputs: FasterRCNNOutputs, sizes: Tensor) -> tuple[Tensor, Tensor]:
        boxes, present = propose(outputs.proposals, sizes, self.proposal_candidates, self.proposals)
        image, place = present.nonzero(as_tuple=True)
        logits, offsets = self._second_stage(outputs.features, boxes[image, place], image)
        scores = logits.new_zeros(*present.shape, self.num_classes)
        moved = logits.new_zeros(*present.shape, self.num_classes, 4)
        scores[image, place] = logits.softmax(1)[:, :-1]
        moved[image, place] = decode(offsets, boxes[image, place][:, None], OFFSET_WEIGHTS)
        return scores, moved

    def _second_stage(self, features: list[Tensor], regions: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        """Regions [M, 4] of the images [M] -> float32 logits [M, C + 1], background last, and offsets [M, C, 4]."""
        kind = features[0].dtype
        pooled = pool_regions(features, self.roi_levels, regions, image)
        with torch.autocast(pooled.device.type, dtype=kind, enabled=kind in (torch.bfloat16, torch.float16)):
            hidden = self.roi_head(pooled)
            logits, offsets = self.roi_logits(hidden), self.roi_offsets(hidden)
        return logits.float(), offsets.float().unflatten(1, (self.num_classes, 4))


def pool_regions(features: Sequence[Tensor], levels: Sequence[str], regions: Tensor, image: Tensor) -> Tensor:
    """RoIAlign (He et al. 2017) of each region on the level of its size; no gradient to the regions.

    Args:
        features: [B, channels, h, w] of each of `levels`.
        levels: finest first.
        regions: [M, 4] xyxy in canvas pixels.
        image: [M] int64: the image of each region.

    Returns:
        [M, channels, RESOLUTION, RESOLUTION] float32.
    """
    size = area(regions).clamp(min=0).sqrt()
    wanted = torch.floor(4 + torch.log2(size / 224 + 1e-6))
    bounds = wanted.new_tensor([int(level[1:]) for level in levels[1:]])
    index = (wanted[:, None] >= bounds).sum(1)
    boxes = torch.cat([image[:, None].to(regions), regions], dim=1)
    pooled = regions.new_zeros(len(regions), features[0].shape[1], RESOLUTION, RESOLUTION)
    for at, (level, feature) in enumerate(zip(levels, features, strict=True)):
        here = (index == at).nonzero(as_tuple=True)[0]
        part = roi_align(feature.float(), boxes[here], RESOLUTION, 1 / stride(level), sampling_ratio=2, aligned=True)
        pooled = pooled.index_copy(0, here, part)
    return pooled
