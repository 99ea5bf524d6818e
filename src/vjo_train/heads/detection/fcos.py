"""FCOS (Tian et al. 2019, 2020): every location says whether it lies in an object, and where that ends."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt, Interval
from torch import Tensor, nn
from torchvision.ops import generalized_box_iou_loss

from vjo_train.heads.class_rows import ClassRows, of_layer
from vjo_train.heads.detection.anchors import Cells, steps_of
from vjo_train.heads.detection.base import DetectionHead
from vjo_train.heads.detection.candidates import Pairs, best_pairs, likely_pairs
from vjo_train.heads.detection.dense import common_channels, convolution, prior_bias, rows, stride, sum_per_image, tower
from vjo_train.heads.detection.focal import focal_loss
from vjo_train.heads.detection.objects import Objects
from vjo_train.types import Features


@dataclass
class Locations:
    """The centres of the cells of all levels, L in all; level by level, row by row."""

    points: Tensor
    """[L, 2] float32: x, y in canvas pixels."""
    strides: Tensor
    """[L] float32: pixels per cell."""
    ranges: Tensor
    """[L, 2] float32: a location finds objects whose farthest side is more than the first and at most the second
    number of pixels away."""


@dataclass
class FCOSOutputs:
    """Raw outputs at L locations."""

    logits: Tensor
    """[B, L, C]: of each class."""
    sides: Tensor
    """[B, L, 4] > 0 (or 0, where they are linear): distances to the left, top, right and bottom side, in strides."""
    centreness: Tensor
    """[B, L]: logit of the centreness."""
    locations: Locations


class FCOS(DetectionHead):
    """The detector of the later paper: centre sampling, GIoU loss, centreness beside the box, distances in strides.

    The loss of an image is focal loss + GIoU loss + binary cross-entropy of the centreness, each summed over its
    locations and divided by max(1, positives of the image). Locations in difficult objects, unless positive, are
    left out of it. Unknown classes count at positive locations alone, which are of another class.
    The score of a box is sqrt(class probability x centreness).
    Deviation: with `exponential` distances they grow as exp (2019) up to 20 strides and linearly from there, in place
    of a ReLU (2020, `linear`), so that no location is without gradient and none overflows.

    Args:
        channels: of every level of the pyramid.
        strides: of every level, pixels of the canvas per cell; None: as usual (`c5`, `p5`: 32).
        levels: the features it reads, finest first.
        depth: 3x3 convolutions per tower; the towers are shared by all levels.
        width: channels of the towers; as the levels if None.
        centre_radius: positives lie in the object and less than this many strides from its centre, in x and in y.
        distances: how the sides of a box grow with what the network says.
        cells: where the locations lie: in the middles of the cells, or at their corners, as in torchvision's FCOS.
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
        depth: Annotated[int, Interval(ge=0, le=8)] = 4,
        width: Annotated[int, Ge(8)] | None = None,
        centre_radius: Annotated[float, Gt(0)] = 1.5,
        distances: Literal["exponential", "linear"] = "exponential",
        cells: Literal["centred", "cornered"] = "centred",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        inputs = common_channels(f"heads.{self.task}.levels", levels, channels)
        width = width or inputs
        self.levels = tuple(levels)
        self.strides = [stride(level, strides) for level in levels]
        self.centre_radius = centre_radius
        self.distances, self.cells = distances, cells
        self.class_tower = tower(inputs, width, depth)
        self.box_tower = tower(inputs, width, depth)
        features = width if depth else inputs
        self.class_logits = convolution(features, self.num_classes, bias=prior_bias())
        self.box_sides = convolution(features, 4)
        self.box_centreness = convolution(features, 1)
        self.scales = nn.Parameter(torch.ones(len(self.levels)))

    def forward(self, features: Features) -> FCOSOutputs:
        logits, sides, centreness, shapes = [], [], [], []
        for level, scale in zip(self.levels, self.scales, strict=True):
            feature = features[level]
            for_class, for_box = self.class_tower(feature), self.box_tower(feature)
            logits.append(rows(self.class_logits(for_class), self.num_classes))
            raw = self.box_sides(for_box).float() * scale
            sides.append(rows(positive_sides(raw) if self.distances == "exponential" else raw.relu(), 4))
            centreness.append(rows(self.box_centreness(for_box), 1))
            shapes.append((feature.shape[2], feature.shape[3]))
        return FCOSOutputs(
            logits=torch.cat(logits, dim=1),
            sides=torch.cat(sides, dim=1),
            centreness=torch.cat(centreness, dim=1)[..., 0],
            locations=grid(shapes, self.strides, self.scales.device, self.cells),
        )

    def class_rows(self) -> dict[str, ClassRows]:
        return of_layer("class_logits", ClassRows())

    def losses(self, outputs: FCOSOutputs, objects: Objects) -> Tensor:
        locations = outputs.locations
        found, ignored = assign(locations, objects, self.centre_radius)
        positive = found >= 0
        image, place = positive.nonzero(as_tuple=True)
        picked = found[image, place]
        label = objects.classes[image, picked]
        entropy = focal_loss(outputs.logits.float(), image, place, label, objects.unknown)
        focal = entropy.masked_fill(ignored, 0.0).sum(1)

        points, strides = locations.points[place], locations.strides[place, None]
        truth = objects.boxes[image, picked]
        boxes = boxes_around(points, outputs.sides[image, place].float() * strides)
        overlap = generalized_box_iou_loss(boxes, truth)
        centre = F.binary_cross_entropy_with_logits(
            outputs.centreness[image, place].float(), centreness(sides_of(points, truth)), reduction="none"
        )
        return (focal + sum_per_image(overlap + centre, positive)) / positive.sum(1).clamp(min=1)

    def find(self, outputs: FCOSOutputs, sizes: Tensor, threshold: float) -> tuple[Pairs, Tensor]:
        # A centreness is at most 1, so only classes more probable than the threshold's square can do.
        pairs = likely_pairs(outputs.logits, threshold**2)
        pairs.score = (pairs.score * outputs.centreness[pairs.image, pairs.row].float().sigmoid()).sqrt()
        pairs = best_pairs(pairs[pairs.score > threshold], sizes.shape[0], self.candidates)
        sides = outputs.sides[pairs.image, pairs.row].float() * outputs.locations.strides[pairs.row, None]
        return pairs, boxes_around(outputs.locations.points[pairs.row], sides)


def grid(
    shapes: Sequence[tuple[int, int]], strides: Sequence[int], device: torch.device, cells: Cells = "centred"
) -> Locations:
    """The locations of levels of the given shapes (height, width), finest first.

    A level of stride s finds objects whose farthest side is 4 s to 8 s away; the first also smaller, the last also
    larger ones. For strides 8..128 these are the paper's 64, 128, 256 and 512 pixels.
    """
    points, steps, ranges = [], [], []
    shift = 0.5 if cells == "centred" else 0.0
    placed = zip(shapes, strides, steps_of(shapes, strides, cells), strict=True)
    for index, ((height, width), step, (down, across)) in enumerate(placed):
        y = (torch.arange(height, device=device, dtype=torch.float32) + shift) * down
        x = (torch.arange(width, device=device, dtype=torch.float32) + shift) * across
        points.append(torch.stack([x.repeat(height), y.repeat_interleave(width)], dim=1))
        low = 0.0 if index == 0 else 4.0 * step
        high = math.inf if index == len(shapes) - 1 else 8.0 * step
        steps.append(x.new_full((height * width,), step))
        ranges.append(x.new_tensor([[low, high]]).expand(height * width, 2))
    return Locations(torch.cat(points), torch.cat(steps), torch.cat(ranges))


def assign(locations: Locations, objects: Objects, radius: float) -> tuple[Tensor, Tensor]:
    """Which object each location is trained to find.

    A location may find an object if it lies inside it, less than `radius` strides from its centre in x and in y, and
    the farthest side is in the location's range. Of several, the object of the smallest area is found.

    Returns:
        The index of the object [B, L] int64, -1 for none; and where the loss is ignored [B, L] bool: in a difficult
        object, without one to be found.
    """
    x, y = locations.points[:, 0, None], locations.points[:, 1, None]
    x1, y1, x2, y2 = objects.boxes[:, None].unbind(-1)  # [B, 1, N] against [L, 1]
    nearest = torch.minimum(torch.minimum(x - x1, x2 - x), torch.minimum(y - y1, y2 - y))
    farthest = torch.maximum(torch.maximum(x - x1, x2 - x), torch.maximum(y - y1, y2 - y))
    inside = nearest > 0
    off_centre = torch.maximum((x - (x1 + x2) / 2).abs(), (y - (y1 + y2) / 2).abs())
    low, high = locations.ranges[:, 0, None], locations.ranges[:, 1, None]
    central = off_centre < radius * locations.strides[:, None]
    may = inside & central & (farthest > low) & (farthest <= high) & objects.real[:, None]
    areas = torch.where(may, (x2 - x1) * (y2 - y1), math.inf)
    smallest, index = areas.min(dim=2)
    found = torch.where(smallest < math.inf, index, -1)
    ignored = (inside & objects.difficult[:, None]).any(2) & (found < 0)
    return found, ignored


def positive_sides(raw: Tensor, knee: float = 3.0) -> Tensor:
    """exp(raw) up to `knee`, its tangent from there: positive, increasing, with a gradient that is bounded."""
    return raw.clamp(max=knee).exp() * (1 + (raw - knee).clamp(min=0))


def boxes_around(points: Tensor, sides: Tensor) -> Tensor:
    """Points [..., 2] and distances to left, top, right, bottom [..., 4] -> boxes xyxy [..., 4]."""
    return torch.cat([points - sides[..., :2], points + sides[..., 2:]], dim=-1)


def sides_of(points: Tensor, boxes: Tensor) -> Tensor:
    """The inverse of `boxes_around`: points [..., 2] and boxes [..., 4] -> distances [..., 4]."""
    return torch.cat([points - boxes[..., :2], boxes[..., 2:] - points], dim=-1)


def centreness(sides: Tensor) -> Tensor:
    """Distances [..., 4] > 0 -> sqrt(min(l, r) / max(l, r) x min(t, b) / max(t, b)) in 0..1; 1 at the centre."""
    near = torch.minimum(sides[..., :2], sides[..., 2:])
    far = torch.maximum(sides[..., :2], sides[..., 2:])
    return (near / far).prod(-1).sqrt()
