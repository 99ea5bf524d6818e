"""What heads with a second stage share: proposals, the regions sampled from them, features pooled in regions."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn
from torchvision.models.detection.rpn import RPNHead

from vjo_train.heads.detection.anchors import BACKGROUND, IGNORED, RATIOS, grid_anchors, match
from vjo_train.heads.detection.base import DetectionHead
from vjo_train.heads.detection.candidates import Pairs, best_pairs, pairs_above
from vjo_train.heads.detection.dense import common_channels, rows, stride
from vjo_train.heads.detection.objects import Objects
from vjo_train.heads.detection.pooling import pool_regions
from vjo_train.heads.detection.proposals import ProposalOutputs, propose
from vjo_train.heads.detection.sampling import sample
from vjo_train.types import Features, Target

RESOLUTION = 7
"""Cells per side that a region is pooled into for the choice of its class."""
ROI_IOU, ROI_FOREGROUND = 0.5, 0.25
OFFSET_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
"""Brings the second stage's offsets to about unit variance (Girshick 2015)."""


@dataclass
class RegionOutputs:
    """Raw outputs of the first stage; the second runs on its proposals when the loss or the boxes are asked for."""

    proposals: ProposalOutputs
    features: list[Tensor]
    """What the second stage pools from, finest first."""


@dataclass
class Regions:
    """M boxes on which a later stage is trained, image by image, chosen from R of each of B images."""

    boxes: Tensor
    """[M, 4] in canvas pixels; without gradient."""
    image: Tensor
    """[M] int64, in rising order."""
    objects: Tensor
    """[M] int64: the object that the box is matched with, or `BACKGROUND`."""
    chosen: Tensor
    """[B, R] bool: true at M places."""
    positive: Tensor
    """[B, R] bool: the chosen ones that are matched with an object."""

    @classmethod
    def of(cls, boxes: Tensor, found: Tensor, chosen: Tensor) -> Regions:
        """Those `chosen` [B, R] of the boxes [B, R, 4], matched as `found` [B, R] says."""
        image, place = chosen.nonzero(as_tuple=True)
        return cls(boxes[image, place], image, found[image, place], chosen, chosen & (found >= 0))

    @property
    def hit(self) -> Tensor:
        """[M] bool: matched with an object."""
        return self.objects >= 0

    def moved(self, boxes: Tensor, objects: Objects) -> Regions:
        """The same regions with other boxes [M, 4], matched anew; those matched with difficult objects drop out."""
        padded = boxes.new_zeros(*self.chosen.shape, 4)
        padded[self.chosen] = boxes.detach()
        found = match(padded, objects, ROI_IOU, ROI_IOU, keep_best=False)
        return Regions.of(padded, found, self.chosen & (found != IGNORED))


class RegionHead(DetectionHead):
    """A proposal network over the pyramid, and samples of its proposals for the stages that a subclass adds.

    At most a quarter of the sampled regions overlap an object at an IoU of 0.5 or more; regions that overlap a
    difficult object best are never sampled. Sampling draws from torch's global generator.

    Args:
        channels: of every level of the pyramid.
        strides: of every level, pixels of the canvas per cell; None: as usual (`c5`, `p5`: 32).
        levels: the features that give proposals, finest first.
        roi_levels: the features that regions are pooled from, finest first: a region of 224 pixels goes to stride 16,
            one of half the side to stride 8, and so on.
        anchor_scale: side of a level's square anchor, in strides (4 from p3 on, or 8 from p2 on, start at 32 pixels).
        anchors_per_image: anchors sampled for the proposals' loss.
        proposal_candidates: boxes per level that enter the proposals' non-maximum suppression.
        proposals: boxes per image that leave it in training.
        eval_proposals: the same in evaluation, where each goes through the later stages (Ren et al. 2015: 300).
        rois_per_image: proposals sampled for the later stages' losses.
        split_losses: the weighting sees the parts of the loss as tasks of their own.
        cells: what a cell of a level stands for, for anchors and pooling: its middle, or its corner, as in torchvision.
        options: those of `DetectionHead`.

    Raises:
        ConfigError: levels that are not there or differ in channels.
    """

    def __init__(
        self,
        *,
        channels: Mapping[str, int],
        strides: Mapping[str, int] | None = None,
        levels: Sequence[str] = ("p3", "p4", "p5", "p6", "p7"),
        roi_levels: Sequence[str] = ("p3", "p4", "p5"),
        anchor_scale: Annotated[float, Gt(0)] = 4.0,
        anchors_per_image: Annotated[int, Ge(2)] = 256,
        proposal_candidates: Annotated[int, Ge(1)] = 1000,
        proposals: Annotated[int, Ge(1)] = 1000,
        eval_proposals: Annotated[int, Ge(1)] = 300,
        rois_per_image: Annotated[int, Ge(4)] = 256,
        split_losses: bool = False,
        cells: Literal["centred", "cornered"] = "centred",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        inputs = common_channels(f"heads.{self.task}.levels", levels, channels)
        self.pooled_channels = common_channels(f"heads.{self.task}.roi_levels", roi_levels, channels)
        self.proposal_levels = tuple(levels)
        self.roi_levels = tuple(roi_levels)
        self.proposal_strides = [stride(level, strides) for level in levels]
        self.roi_strides = [stride(level, strides) for level in roi_levels]
        self.levels = (*levels, *(level for level in roi_levels if level not in levels))
        self.anchor_scale = anchor_scale
        self.anchors_per_image = anchors_per_image
        self.proposal_candidates = proposal_candidates
        self.proposals, self.eval_proposals = proposals, eval_proposals
        self.rois_per_image = rois_per_image
        self.split_losses = split_losses
        self.cells = cells
        self.proposal_head = RPNHead(inputs, len(RATIOS))

    @abstractmethod
    def losses_by_part(self, outputs: RegionOutputs, objects: Objects) -> dict[str, Tensor]:
        """Part -> [B] float32, of no meaning for images that are not labelled; called outside autocast."""

    @abstractmethod
    def modules_by_part(self) -> dict[str, list[nn.Module]]:
        """Each part of the loss -> the modules that it alone trains."""

    def losses(self, outputs: RegionOutputs, objects: Objects) -> Tensor:
        return torch.stack(list(self.losses_by_part(outputs, objects).values())).sum(0)

    def part_losses(self, outputs: RegionOutputs, targets: list[Target]) -> dict[str, Tensor]:
        if not self.split_losses:
            return super().part_losses(outputs, targets)
        objects = self.objects(targets)
        with torch.autocast(objects.boxes.device.type, enabled=False):
            parts = self.losses_by_part(outputs, objects)
        return {part: torch.where(objects.labelled, loss, 0.0) for part, loss in parts.items()}

    def part_parameters(self) -> dict[str, list[nn.Parameter]]:
        if not self.split_losses:
            return super().part_parameters()
        return {
            part: [p for module in modules for p in module.parameters()]
            for part, modules in self.modules_by_part().items()
        }

    def forward(self, features: Features) -> RegionOutputs:
        maps = [features[level] for level in self.proposal_levels]
        objectness, offsets = self.proposal_head(maps)
        shapes = [(feature.shape[2], feature.shape[3]) for feature in maps]
        outputs = ProposalOutputs(
            objectness=torch.cat([rows(level, 1) for level in objectness], dim=1)[..., 0],
            offsets=torch.cat([rows(level, 4) for level in offsets], dim=1),
            anchors=grid_anchors(shapes, self.proposal_strides, [self.anchor_scale], maps[0].device, self.cells),
        )
        return RegionOutputs(outputs, [features[level] for level in self.roi_levels])

    @abstractmethod
    def scored_boxes(self, outputs: RegionOutputs, sizes: Tensor) -> tuple[Tensor, Tensor]:
        """Scores [B, R, C] and boxes [B, R, 4] or [B, R, C, 4] in canvas pixels; `sizes` [B, 2] as in `Objects`."""

    def find(self, outputs: RegionOutputs, sizes: Tensor, threshold: float) -> tuple[Pairs, Tensor]:
        scores, boxes = self.scored_boxes(outputs, sizes)
        pairs = best_pairs(pairs_above(scores, threshold), sizes.shape[0], self.candidates)
        places = (pairs.image, pairs.row) if boxes.dim() == 3 else (pairs.image, pairs.row, pairs.label)
        return pairs, boxes[places]

    def propose(self, outputs: RegionOutputs, sizes: Tensor) -> tuple[Tensor, Tensor]:
        """The proposals [B, P, 4] of an evaluation, and which are no padding [B, P]; `sizes` [B, 2] as in `Objects`."""
        return propose(outputs.proposals, sizes, self.proposal_candidates, self.eval_proposals)

    def sample_regions(self, outputs: RegionOutputs, objects: Objects) -> Regions:
        """The regions that later stages are trained on; none of images that are not labelled."""
        boxes, present = self._proposals_of(outputs, objects)
        # The objects themselves are regions too, so that there are positives from the first step on.
        boxes, present = torch.cat([boxes, objects.boxes], 1), torch.cat([present, objects.real], 1)
        found = match(boxes, objects, ROI_IOU, ROI_IOU, keep_best=False)
        present = present & objects.labelled[:, None]
        positive, negative = present & (found >= 0), present & (found == BACKGROUND)
        return Regions.of(boxes, found, sample(positive, negative, self.rois_per_image, ROI_FOREGROUND))

    def _proposals_of(self, outputs: RegionOutputs, objects: Objects) -> tuple[Tensor, Tensor]:
        """Those of training, with the work for the labelled images alone: with partial labels they may be few."""
        index = objects.labelled.nonzero()[:, 0]
        if not len(index):
            return objects.boxes[:, :0], objects.real[:, :0]
        given = outputs.proposals
        some = ProposalOutputs(given.objectness[index], given.offsets[index], given.anchors)
        boxes, present = propose(some, objects.sizes[index], self.proposal_candidates, self.proposals)
        most = int(present.sum(1).max())
        boxes, present = boxes[:, :most], present[:, :most]
        everywhere = boxes.new_zeros(len(objects.labelled), *boxes.shape[1:]).index_copy(0, index, boxes)
        return everywhere, present.new_zeros(everywhere.shape[:2]).index_copy(0, index, present)

    def pool(self, features: Sequence[Tensor], boxes: Tensor, image: Tensor, size: int) -> Tensor:
        """Features [M, channels, size, size] float32 of boxes [M, 4] of the images [M]; no gradient to the boxes."""
        return pool_regions(features, self.roi_strides, boxes, image, size, self.cells == "centred")


def in_type_of(feature: Tensor) -> torch.autocast:
    """Autocast to the type of `feature`, off for float32: a later stage runs as the first one did."""
    kind = feature.dtype
    return torch.autocast(feature.device.type, dtype=kind, enabled=kind in (torch.bfloat16, torch.float16))
