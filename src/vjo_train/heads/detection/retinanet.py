"""RetinaNet (Lin, Goyal, Girshick, He, Dollar 2017): anchors on every cell, and the focal loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt, Interval
from torch import Tensor

from vjo_train.errors import ConfigError
from vjo_train.heads.class_rows import ClassRows, of_layer
from vjo_train.heads.detection.anchors import IGNORED, RATIOS, grid_anchors, match
from vjo_train.heads.detection.base import DetectionHead
from vjo_train.heads.detection.boxes import decode, encode
from vjo_train.heads.detection.candidates import Pairs, best_pairs, likely_pairs
from vjo_train.heads.detection.dense import common_channels, convolution, prior_bias, rows, stride, sum_per_image, tower
from vjo_train.heads.detection.focal import focal_loss
from vjo_train.heads.detection.objects import Objects
from vjo_train.types import Features

OCTAVES = (1.0, 2 ** (1 / 3), 2 ** (2 / 3))
"""Sides of a level's square anchors, relative to the smallest; the next level goes on with 2."""


@dataclass
class RetinaNetOutputs:
    """Raw outputs at R anchors."""

    logits: Tensor
    """[B, R, C]: of each class."""
    offsets: Tensor
    """[B, R, 4]: of the box from the anchor."""
    anchors: Tensor
    """[R, 4] float32 in canvas pixels."""


class RetinaNet(DetectionHead):
    """Nine anchors per cell, classified and moved by two towers.

    The loss of an image is focal loss + smooth L1 loss (beta 1/9) of the offsets, each summed over its anchors and
    divided by max(1, matched anchors of the image). Anchors matched with difficult objects are left out of it. Unknown
    classes count at matched anchors alone, which are of another class.
    Deviation: group norm in the towers (the paper has none, `norm=none`), as training from random weights needs it.

    Args:
        channels: of every level of the pyramid.
        strides: of every level, pixels of the canvas per cell; None: as usual (`c5`, `p5`: 32).
        levels: the features it reads, finest first.
        depth: 3x3 convolutions per tower; the towers are shared by all levels.
        width: channels of the towers; as the levels if None.
        anchor_scale: side of the smallest square anchor of a level, in strides.
        foreground_iou: least IoU of an anchor with the object that it is trained to find.
        background_iou: anchors below this IoU are background; those between the two are ignored.
        norm: of the towers.
        cells: where anchors lie: around the middles of the cells, or their corners, as in torchvision's RetinaNet.
        options: those of `DetectionHead`.

    Raises:
        ConfigError: levels that are not there or differ in channels; `background_iou` above `foreground_iou`.
    """

    def __init__(
        self,
        *,
        channels: Mapping[str, int],
        strides: Mapping[str, int] | None = None,
        levels: Sequence[str] = ("p3", "p4", "p5", "p6", "p7"),
        depth: Annotated[int, Interval(ge=0, le=8)] = 4,
        width: Annotated[int, Ge(8)] | None = None,
        anchor_scale: Annotated[float, Gt(0)] = 4.0,
        foreground_iou: Annotated[float, Interval(gt=0, le=1)] = 0.5,
        background_iou: Annotated[float, Interval(gt=0, le=1)] = 0.4,
        norm: Literal["group", "none"] = "group",
        cells: Literal["centred", "cornered"] = "centred",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if background_iou > foreground_iou:
            raise ConfigError(
                f"heads.detection.background_iou: found {background_iou}; allowed is at most foreground_iou, "
                f"{foreground_iou}"
            )
        inputs = common_channels("heads.detection.levels", levels, channels)
        width = width or inputs
        self.levels = tuple(levels)
        self.strides = [stride(level, strides) for level in levels]
        self.anchor_sizes = tuple(anchor_scale * octave for octave in OCTAVES)
        self.foreground_iou = foreground_iou
        self.background_iou = background_iou
        anchors = len(OCTAVES) * len(RATIOS)
        self.norm, self.cells = norm, cells
        self.class_tower = tower(inputs, width, depth, norm)
        self.box_tower = tower(inputs, width, depth, norm)
        features = width if depth else inputs
        self.class_logits = convolution(features, anchors * self.num_classes, bias=prior_bias())
        self.box_offsets = convolution(features, anchors * 4)

    def forward(self, features: Features) -> RetinaNetOutputs:
        logits, offsets, shapes = [], [], []
        for level in self.levels:
            feature = features[level]
            logits.append(rows(self.class_logits(self.class_tower(feature)), self.num_classes))
            offsets.append(rows(self.box_offsets(self.box_tower(feature)), 4))
            shapes.append((feature.shape[2], feature.shape[3]))
        anchors = grid_anchors(shapes, self.strides, self.anchor_sizes, logits[0].device, self.cells)
        return RetinaNetOutputs(torch.cat(logits, dim=1), torch.cat(offsets, dim=1), torch.cat(anchors))

    def class_rows(self) -> dict[str, ClassRows]:
        return of_layer("class_logits", ClassRows(groups=len(OCTAVES) * len(RATIOS)))

    def losses(self, outputs: RetinaNetOutputs, objects: Objects) -> Tensor:
        found = match(outputs.anchors, objects, self.foreground_iou, self.background_iou, keep_best=True)
        positive = found >= 0
        image, place = positive.nonzero(as_tuple=True)
        picked = found[image, place]
        label = objects.classes[image, picked]
        entropy = focal_loss(outputs.logits.float(), image, place, label, objects.unknown)
        focal = entropy.masked_fill(found == IGNORED, 0.0).sum(1)

        truth = encode(objects.boxes[image, picked], outputs.anchors[place])
        offsets = outputs.offsets[image, place].float()
        distance = F.smooth_l1_loss(offsets, truth, beta=1 / 9, reduction="none").sum(1)
        return (focal + sum_per_image(distance, positive)) / positive.sum(1).clamp(min=1)

    def find(self, outputs: RetinaNetOutputs, sizes: Tensor, threshold: float) -> tuple[Pairs, Tensor]:
        pairs = likely_pairs(outputs.logits, threshold)
        pairs = best_pairs(pairs[pairs.score > threshold], sizes.shape[0], self.candidates)
        return pairs, decode(outputs.offsets[pairs.image, pairs.row].float(), outputs.anchors[pairs.row])
