"""Keypoint R-CNN (He, Gkioxari, Dollar, Girshick 2017)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Gt, Interval
from torch import Tensor, nn

from vjo_train.drawing.sheet import Sheet
from vjo_train.errors import ConfigError, DataError
from vjo_train.heads.detection.faster_rcnn import FasterRCNN
from vjo_train.heads.detection.objects import Objects
from vjo_train.heads.detection.regions import RegionOutputs, Regions, in_type_of
from vjo_train.heads.instance.base import POOLED, MaskBranch
from vjo_train.heads.keypoints.heat_maps import SIDE, located, point_loss
from vjo_train.heads.keypoints.metrics import KeypointMetrics
from vjo_train.heads.pixels.base import upsample
from vjo_train.types import Batch, Detections, Frames


class KeypointRCNN(FasterRCNN):
    """Faster R-CNN, and beside its box branch one that gives each region a heat map per point.

    The loss of an image is that of Faster R-CNN + `point_loss` (the part `point` for `split_losses`) on the sampled
    regions that are matched with an object; points that are not known or outside their region do not count. In
    evaluation points are found in the boxes that are left. All classes have the same points.

    Args:
        points: K of each object.
        skeleton: pairs of points, from 0, between which predictions are drawn with a line.
        sigmas: [K] how far people are off when they mark a point, relative to the object's size; None: COCO's for
            K = 17, else 1 / K.
        point_depth: 3x3 convolutions of the branch.
        point_width: their channels; as the levels if None.
        detections_per_image: boxes per image that leave the last non-maximum suppression.
        options: those of `FasterRCNN`.

    Raises:
        ConfigError: levels that are not there or differ in channels; sigmas or pairs that do not fit `points`.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"boxes", "keypoints"})
    monitor: ClassVar[str] = "map_oks"
    difficulty: ClassVar[int] = 3
    task: ClassVar[str] = "keypoints"

    def __init__(
        self,
        *,
        points: Annotated[int, Ge(1)] = 17,
        skeleton: Sequence[Sequence[Annotated[int, Ge(0)]]] = (),
        sigmas: Sequence[Annotated[float, Gt(0)]] | None = None,
        point_depth: Annotated[int, Interval(ge=0, le=8)] = 4,
        point_width: Annotated[int, Ge(8)] | None = None,
        detections_per_image: Annotated[int, Ge(1)] = 50,
        **options: Any,
    ) -> None:
        super().__init__(detections_per_image=detections_per_image, **options)
        if sigmas is not None and len(sigmas) != points:
            raise ConfigError(f"heads.keypoints.sigmas: found {len(sigmas)}; there are {points} points.")
        for pair in skeleton:
            if len(pair) != 2 or max(pair) >= points:
                raise ConfigError(f"heads.keypoints.skeleton: found {list(pair)}; must be two of 0..{points - 1}.")
        self.points, self.skeleton, self.sigmas = points, [(pair[0], pair[1]) for pair in skeleton], sigmas
        channels = self.pooled_channels
        self.point_branch = MaskBranch(channels, points, point_depth, point_width or channels)

    def losses_by_part(self, outputs: RegionOutputs, objects: Objects) -> dict[str, Tensor]:
        regions = self.sample_regions(outputs, objects)
        return self.box_losses(outputs, regions, objects) | {"point": self._point_loss(outputs, regions, objects)}

    def modules_by_part(self) -> dict[str, list[nn.Module]]:
        return super().modules_by_part() | {"point": [self.point_branch]}

    def _point_loss(self, outputs: RegionOutputs, regions: Regions, objects: Objects) -> Tensor:
        image, picked = regions.image[regions.hit], regions.objects[regions.hit]
        parts = [regions.boxes.new_zeros(0, self.points, 3)]
        for number in sorted(set(image.tolist())):
            own = objects.points[number]
            assert own is not None, "an image that is labelled `keypoints` carries them"
            if own.shape[1] != self.points:
                raise DataError(f"heads.keypoints.points: found {self.points}; the labels have {own.shape[1]} points.")
            parts.append(own[picked[image == number]])
        logits = self._heat_maps(outputs, regions.boxes[regions.hit], image)
        return point_loss(logits, torch.cat(parts), regions, regions.hit)

    def _heat_maps(self, outputs: RegionOutputs, boxes: Tensor, image: Tensor) -> Tensor:
        """[M, K, SIDE, SIDE] float32 of boxes [M, 4] of the images [M]."""
        pooled = self.pool(outputs.features, boxes, image, POOLED)
        with in_type_of(outputs.features[0]):
            coarse: Tensor = self.point_branch(pooled)
        return upsample(coarse.float(), SIDE // coarse.shape[-1])

    @torch.no_grad()
    def decoded(self, outputs: RegionOutputs, frames: Frames) -> dict[str, Tensor]:
        """As of a detection head, and `points` [B, N, K, 3] float32: x, y in the pixels of the file, a probability."""
        found = super().decoded(outputs, frames)
        image, place = (found["labels"] >= 0).nonzero(as_tuple=True)
        boxes = found["boxes"][image, place]
        with torch.autocast(boxes.device.type, enabled=False):
            maps = self._heat_maps(outputs, boxes * frames.scales[image, None], image)
            own = located(maps, boxes)
        points = own.new_zeros(*found["labels"].shape, self.points, 3)
        points[image, place] = own
        return {**found, "points": points}

    def predictions(self, decoded: Mapping[str, Tensor], batch: Batch) -> list[Detections]:
        """The objects found in each image with their points, in the pixels of its file."""
        found = super().predictions(decoded, batch)
        rows = zip(found, decoded["points"], strict=True)
        return [replace(one, points=points[: len(one.boxes)]) for one, points in rows]

    def draw(self, sheet: Sheet, prediction: Detections, classes: Sequence[str]) -> None:
        super().draw(sheet, prediction, classes)
        assert prediction.points is not None, "this head gives points"
        sure = (prediction.scores >= sheet.threshold).cpu()
        points, labels = prediction.points.cpu()[sure], prediction.labels.cpu()[sure].tolist()
        sheet.points(points[..., :2], torch.ones(points.shape[:2], dtype=torch.bool), labels, self.skeleton)

    def metrics(self) -> KeypointMetrics:
        return KeypointMetrics(self.num_classes, self.points, self.sigmas)
