"""What the key point heads share: which images are labelled, the truth of a batch, drawing, files, metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge
from torch import Tensor

from vjo_train.drawing.sheet import Sheet
from vjo_train.errors import ConfigError
from vjo_train.heads.detection.base import DetectionHead
from vjo_train.heads.detection.objects import Objects
from vjo_train.heads.keypoints import skeleton as skeletons
from vjo_train.heads.keypoints.metrics import KeypointMetrics
from vjo_train.heads.keypoints.skeleton import Points, Sigmas
from vjo_train.types import Batch, Detections, Target

SHOWN = 0.25
"""Points of which the head is less sure are not drawn."""


class KeypointHead(DetectionHead):
    """Base of the key point heads: boxes as a detection head finds them, and K points of each.

    Only images with key points are labelled. Objects without any train boxes and classes, and no points; with
    `heads.keypoints.classes` the head finds objects of these classes alone. All classes have the same points.

    Args:
        points: K, or the names of the points in the order of the data.
        sigmas: of OKS, how far from the truth a point may be, by the square root of the object's area: [K], or by name;
            None: COCO's for 17 points, else 1 / K.
        skeleton: pairs of names of points that drawings join; None: the person's for 17 points, else none.
        detections_per_image: boxes per image that leave non-maximum suppression; COCO's figures look at 20.
        options: those of the detection head.

    Raises:
        ConfigError: `sigmas` are not K numbers above 0, or a name is of no point.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"boxes", "keypoints"})
    monitor: ClassVar[str] = "map_oks"
    difficulty: ClassVar[int] = 4
    task: ClassVar[str] = "keypoints"

    def __init__(
        self,
        *,
        points: Points = 17,
        sigmas: Sigmas | None = None,
        skeleton: list[list[str]] | None = None,
        detections_per_image: Annotated[int, Ge(1)] = 20,
        **options: Any,
    ) -> None:
        super().__init__(detections_per_image=detections_per_image, **options)
        found = skeletons.skeleton(points, sigmas, skeleton)
        self.points, self.sigmas, self.edges = len(found.sigmas), list(found.sigmas), found.edges

    def objects(self, targets: list[Target]) -> Objects:
        """As of a detection head.

        Raises:
            ConfigError: the objects of the data set have another number of points.
        """
        for target in targets:
            if self.labelled(target) and target["keypoints"].points.shape[1] != self.points:
                found = f"found {self.points}; the objects of the data set have {target['keypoints'].points.shape[1]}"
                raise ConfigError(f"heads.keypoints.points: {found}.")
        return super().objects(targets)

    def truth(self, objects: Objects, image: Tensor, picked: Tensor) -> Tensor:
        """[M, K, 3] of the objects `picked` [M] of the images [M]: canvas pixels, and whether a point is known."""
        padded = objects.boxes.new_zeros(*objects.boxes.shape[:2], self.points, 3)
        for row, known in zip(padded, objects.keypoints, strict=True):
            if known is not None:
                row[: len(known.points)] = known.points
        return padded[image, picked]

    def predictions(self, decoded: Mapping[str, Tensor], batch: Batch) -> list[Detections]:
        """The objects found in each image with their points, in the pixels of its file."""
        found = super().predictions(decoded, batch)
        pairs = zip(found, decoded["keypoints"], strict=True)
        return [replace(one, keypoints=points[: len(one.boxes)]) for one, points in pairs]

    def draw(self, sheet: Sheet, prediction: Detections, classes: Sequence[str]) -> None:
        """Frames, dots of the points that are sure enough, and the lines of the skeleton between them."""
        super().draw(sheet, prediction, classes)
        found = prediction.to("cpu")
        keep = torch.nonzero(found.scores >= sheet.threshold).flatten().flip(0)
        points = torch.cat([found.keypoints[keep, :, :2], found.keypoints[keep, :, 2:] >= SHOWN], dim=-1)
        sheet.points(points, found.labels[keep].tolist(), list(self.edges))

    def metrics(self) -> KeypointMetrics:
        return KeypointMetrics(self.num_classes, self.sigmas)
