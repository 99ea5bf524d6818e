"""What all detection heads share: who is labelled, the choice of final boxes, the way back to file pixels, metrics."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Interval
from torch import Tensor
from torchvision.ops import batched_nms

from vjo_train.drawing.sheet import Sheet
from vjo_train.heads.base import Head, TaskMetrics
from vjo_train.heads.detection.boxes import clip
from vjo_train.heads.detection.candidates import Pairs
from vjo_train.heads.detection.coco import coco_rows
from vjo_train.heads.detection.metrics import DetectionMetrics
from vjo_train.heads.detection.objects import Objects
from vjo_train.heads.detection.suppression import suppress
from vjo_train.heads.label_space import LabelSpace
from vjo_train.heads.pseudo_labels import right_objects, sure_objects
from vjo_train.heads.task_files import TaskFiles
from vjo_train.heads.unknown import unknown_classes
from vjo_train.types import Batch, Boxes, Detections, Frames, Target

BY_OBJECT = ("masks", "keypoints")
"""Kinds of label in the order of the boxes."""


class DetectionHead(Head):
    """Base of the detection heads.

    Args:
        num_classes: C.
        score_threshold: detections of a lower score are dropped.
        nms_threshold: of two boxes of a class with more IoU than this, the better one stays.
        candidates: boxes per image that enter non-maximum suppression.
        detections_per_image: boxes per image that leave it.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"boxes"})
    monitor: ClassVar[str] = "map_area"
    difficulty: ClassVar[int] = 2
    sure: ClassVar[float | None] = 0.5
    task: ClassVar[str] = "detection"
    """The head's place in the config, for messages."""

    def __init__(
        self,
        *,
        num_classes: int,
        score_threshold: Annotated[float, Interval(ge=0, lt=1)] = 0.05,
        nms_threshold: Annotated[float, Interval(ge=0, le=1)] = 0.5,
        candidates: Annotated[int, Ge(1)] = 1000,
        detections_per_image: Annotated[int, Ge(1)] = 100,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.score_threshold = score_threshold
        self.nms_threshold = nms_threshold
        self.candidates = candidates
        self.detections_per_image = detections_per_image

    @abstractmethod
    def losses(self, outputs: Any, objects: Objects) -> Tensor:
        """[B] float32, of no meaning for images that are not labelled; called outside autocast."""

    @abstractmethod
    def find(self, outputs: Any, sizes: Tensor, threshold: float) -> tuple[Pairs, Tensor]:
        """The best `candidates` pairs of each image above a threshold, and their boxes [M, 4] on the canvas.

        Args:
            outputs: the raw ones.
            sizes: [B, 2] as in `Objects`.
            threshold: the score that a pair must exceed, 0..1.
        """

    def loss(self, outputs: Any, targets: list[Target]) -> Tensor:
        objects = self.objects(targets)
        with torch.autocast(objects.boxes.device.type, enabled=False):
            losses = self.losses(outputs, objects)
        return torch.where(objects.labelled, losses, 0.0)

    def objects(self, targets: list[Target]) -> Objects:
        """What a batch holds, for the losses."""
        device = next(self.parameters()).device
        unknown = unknown_classes(targets, ["boxes"], self.num_classes, device)
        return Objects.of(targets, [self.labelled(target) for target in targets], device, unknown)

    def taught(self, outputs: Any, batch: Batch, sure: float) -> list[Target]:
        height, width = batch.images.shape[-2:]
        said = [sure_objects(found, sure, (height, width)) for found in self.decode(outputs, batch)]
        return [Target(t.size, labels or {}) for t, labels in zip(batch.targets, said, strict=True)]

    def agreement(self, taught: Target, truth: Target) -> tuple[int, int]:
        return right_objects(taught["boxes"], truth["boxes"])

    def in_own_classes(self, target: Target, space: LabelSpace) -> Target:
        """Without the objects of other classes."""
        if "boxes" not in target:
            return target
        known: Boxes = target["boxes"]
        places = space.places(known.labels)
        kept = places >= 0
        boxes = Boxes(known.xyxy[kept], places[kept], known.difficult[kept])
        more = {kind: target[kind][kept] for kind in BY_OBJECT if kind in target}
        return target.having({"boxes": boxes, **more})

    def in_known_classes(self, prediction: Detections, space: LabelSpace) -> Detections:
        return replace(prediction, labels=space.known_labels(prediction.labels))

    def draw(self, sheet: Sheet, prediction: Detections, classes: Sequence[str]) -> None:
        """Those with at least the sheet's threshold; the best last, so that it lies on top."""
        found = prediction.to("cpu")
        keep = torch.nonzero(found.scores >= sheet.threshold).flatten().flip(0)
        labels = found.labels[keep].tolist()
        tags = [f"{classes[k]} {score:.2f}" for k, score in zip(labels, found.scores[keep].tolist(), strict=True)]
        if found.tracks is not None:
            tracks = found.tracks[keep].tolist()
            tags = [f"#{track} {tag}" if track else tag for track, tag in zip(tracks, tags, strict=True)]
        if found.masks is not None:
            sheet.masks(found.masks[keep], labels)
        more = found.masks is not None or found.keypoints is not None
        sheet.boxes(found.boxes[keep], labels, tags, masked=more)

    def write(self, files: TaskFiles, prediction: Detections, classes: Sequence[str]) -> None:
        """A row for each object, in the form of COCO's results."""
        files.nothing()
        for row in coco_rows(prediction):
            files.row(row)

    @torch.no_grad()
    def decoded(self, outputs: Any, frames: Frames) -> dict[str, Tensor]:
        """The N best objects of each image, best first, in the pixels of its file.

        `boxes` [B, N, 4], `scores` [B, N] float32, `labels` [B, N] int64, and what `details` gives. N is
        `detections_per_image`, or `candidates` where they are fewer; behind an image's last object, boxes and scores
        are 0 and labels -1.
        """
        with torch.autocast(frames.scales.device.type, enabled=False):
            pairs, boxes = self.find(outputs, frames.sizes, self.score_threshold)
            boxes = clip((boxes / frames.scales[pairs.image, None])[:, None], frames.originals[pairs.image])[:, 0]
            details = self.details(outputs, pairs, frames)
        images = frames.scales.shape[0]
        where = (pairs.image, pairs.places(images))
        tables = {
            name: values.new_zeros(images, self.candidates, values.shape[1]).index_put(where, values)
            for name, values in {"boxes": boxes, **details}.items()
        }
        labels = pairs.label.new_zeros(images, self.candidates).index_put(where, pairs.label)
        real = (boxes[:, 2:] > boxes[:, :2]).all(1)
        scores = pairs.score.new_full(labels.shape, -torch.inf)
        scores = scores.index_put(where, torch.where(real, pairs.score, -torch.inf))
        kept = suppress(tables["boxes"], scores, labels, self.num_classes, self.nms_threshold)
        count = min(self.detections_per_image, self.candidates)
        best, chosen = torch.where(kept, scores, -torch.inf).topk(count, dim=1)
        there = best > -torch.inf
        found = {
            name: torch.where(there[..., None], table.gather(1, chosen[..., None].expand(-1, -1, table.shape[2])), 0.0)
            for name, table in tables.items()
        }
        return {
            "boxes": found.pop("boxes"),
            "scores": torch.where(there, best, 0.0),
            "labels": torch.where(there, labels.gather(1, chosen), -1),
            **found,
        }

    def details(self, outputs: Any, pairs: Pairs, frames: Frames) -> dict[str, Tensor]:
        """What else is known of each of M pairs, by name: [M, W], in the pixels of the image file; nothing here."""
        return {}

    def predictions(self, decoded: Mapping[str, Tensor], batch: Batch) -> list[Detections]:
        """The objects found in each image, in the pixels of its file."""
        counts = (decoded["labels"] >= 0).sum(1).tolist()
        rows = zip(decoded["boxes"], decoded["scores"], decoded["labels"], counts, strict=True)
        return [Detections(boxes[:n], scores[:n], labels[:n]) for boxes, scores, labels, n in rows]

    def explained(self, outputs: Any, batch: Batch) -> Tensor:
        """The sum of the scores' log odds, over the boxes that are left of those at least half as sure as the best.

        Boxes of a class that overlap a better one are left out, as in `decode`, but not those below the threshold: an
        untrained detector has something to show too.
        """
        sizes = torch.tensor([target.size for target in batch.targets], dtype=torch.float32, device=batch.scales.device)
        sums = []
        with torch.autocast(sizes.device.type, enabled=False):
            pairs, boxes = self.find(outputs, sizes, threshold=0.0)
            for image in range(len(sizes)):
                here = pairs.image == image
                score, label, box = pairs.score[here], pairs.label[here], boxes[here].detach()
                known = score.detach()
                sure = known >= known.max() / 2 if len(known) else here[:0]  # there may be no proposals at all
                left = batched_nms(box[sure], known[sure], label[sure], self.nms_threshold)
                sums.append(torch.logit(score[sure][left], eps=1e-6).sum())
        return torch.stack(sums)

    def metrics(self) -> TaskMetrics:
        return DetectionMetrics(self.num_classes)
