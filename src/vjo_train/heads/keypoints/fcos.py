"""Key points beside a dense detector: every location that finds an object says where its points are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt, Interval
from torch import Tensor

from vjo_train.heads.detection.candidates import Pairs
from vjo_train.heads.detection.dense import convolution, rows, sum_per_image, tower
from vjo_train.heads.detection.fcos import FCOS, FCOSOutputs, assign
from vjo_train.heads.detection.objects import Objects
from vjo_train.heads.keypoints.base import KeypointHead
from vjo_train.types import Features, Frames


@dataclass
class KeypointOutputs(FCOSOutputs):
    """Raw outputs at L locations."""

    offsets: Tensor
    """[B, L, 2 K]: x, y of each point from the location, in strides."""
    known: Tensor
    """[B, L, K]: logit of whether the point can be said at all."""


class FCOSKeypoints(KeypointHead, FCOS):
    """FCOS with a third tower, whose outputs are the offsets of K points from the location.

    The points are found as CenterNet finds joints (Zhou, Wang, Kraehenbuehl 2019, Objects as Points): offsets from the
    location, with an L1 loss that leaves unknown points out. Deviations: the distance is measured by the square root of
    the area of the object's box, so that small objects count as much as large ones, as in OKS; and, as in YOLO-Pose
    (Maji et al. 2022), a binary cross-entropy says which points are known at all.
    The loss of an image is that of FCOS + `point_weight` times the mean distance (|x| + |y|) of the known points of its
    positive locations + the mean cross-entropy of all points of those whose object has any. The mean gives each of K
    points a K-th of the gradient that the sides of a box have, hence the weight (Ultralytics' pose models have 12).

    Args:
        channels: of every level of the pyramid.
        point_depth: 3x3 convolutions of the points' tower.
        point_width: their channels; as the levels if None.
        point_weight: of the points' distances in the loss.
        options: those of `KeypointHead` and `FCOS`.

    Raises:
        ConfigError: levels that are not there or differ in channels; wrong `sigmas`.
    """

    def __init__(
        self,
        *,
        channels: Mapping[str, int],
        point_depth: Annotated[int, Interval(ge=0, le=8)] = 4,
        point_width: Annotated[int, Ge(8)] | None = None,
        point_weight: Annotated[float, Gt(0)] = 3.0,
        **options: Any,
    ) -> None:
        super().__init__(channels=channels, **options)
        inputs = channels[self.levels[0]]
        width = point_width or inputs
        self.point_weight = point_weight
        self.point_tower = tower(inputs, width, point_depth)
        features = width if point_depth else inputs
        self.point_offsets = convolution(features, 2 * self.points)
        self.point_known = convolution(features, self.points)

    def forward(self, features: Features) -> KeypointOutputs:
        offsets, known = [], []
        for level in self.levels:
            own = self.point_tower(features[level])
            offsets.append(rows(self.point_offsets(own), 2 * self.points))
            known.append(rows(self.point_known(own), self.points))
        found = vars(super().forward(features))
        return KeypointOutputs(**found, offsets=torch.cat(offsets, dim=1), known=torch.cat(known, dim=1))

    def losses(self, outputs: KeypointOutputs, objects: Objects) -> Tensor:  # type: ignore[override]
        found, _ = assign(outputs.locations, objects, self.centre_radius)
        image, place = (found >= 0).nonzero(as_tuple=True)
        picked = found[image, place]
        truth = self.truth(objects, image, picked)
        places, logits = self._points(outputs, image, place)
        distance, entropy, known = point_losses(places, logits, truth, objects.boxes[image, picked])
        where = found >= 0
        counts = sum_per_image(known, where)
        judged = sum_per_image(torch.where(known > 0, float(self.points), 0.0), where)
        away = self.point_weight * sum_per_image(distance, where) / counts.clamp(min=1)
        unsure = sum_per_image(entropy, where) / judged.clamp(min=1)
        return super().losses(outputs, objects) + away + unsure

    def details(self, outputs: KeypointOutputs, pairs: Pairs, frames: Frames) -> dict[str, Tensor]:
        places, logits = self._points(outputs, pairs.image, pairs.row)
        points = torch.cat([places / frames.scales[pairs.image, None, None], logits.sigmoid()[..., None]], dim=-1)
        return {"keypoints": points.flatten(1)}

    @torch.no_grad()
    def decoded(self, outputs: KeypointOutputs, frames: Frames) -> dict[str, Tensor]:
        """As of a detection head, and `keypoints` [B, N, K, 3]: x, y in the image file's pixels, and how sure."""
        found = super().decoded(outputs, frames)
        return {**found, "keypoints": found["keypoints"].reshape(*found["labels"].shape, self.points, 3)}

    def _points(self, outputs: KeypointOutputs, image: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
        """At the locations `place` [M] of the images [M]: points [M, K, 2] in canvas pixels, logits [M, K] float32."""
        offsets = outputs.offsets[image, place].float().reshape(-1, self.points, 2)
        locations = outputs.locations
        points = locations.points[place, None] + offsets * locations.strides[place, None, None]
        return points, outputs.known[image, place].float()


def point_losses(places: Tensor, logits: Tensor, truth: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What M locations lose, sums over points.

    Args:
        places: [M, K, 2]: where the points are said to be.
        logits: [M, K]: of whether they are known.
        truth: [M, K, 3]: x, y, and 0 for unknown ones.
        boxes: [M, 4] of the objects.

    Returns:
        [M]: the distances of known points, |x| + |y|, by the square root of the box's area; [M]: the cross-entropy of
        all points, 0 for objects without any; [M]: how many points are known.
    """
    known = truth[..., 2] > 0
    sides = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1e-3)
    distance = (places - truth[..., :2]).abs().sum(-1) / sides.prod(1, keepdim=True).sqrt()
    entropy = F.binary_cross_entropy_with_logits(logits, known.float(), reduction="none")
    some = known.any(1)
    return torch.where(known, distance, 0.0).sum(1), torch.where(some, entropy.sum(1), 0.0), known.sum(1)
