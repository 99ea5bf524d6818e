"""What all detection heads share: who is labelled, the choice of final boxes, the way back to file pixels, metrics."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Interval
from torch import Tensor
from torchvision.ops import batched_nms

from vjo_train.heads.base import Head, TaskMetrics
from vjo_train.heads.detection.boxes import clip
from vjo_train.heads.detection.candidates import Pairs
from vjo_train.heads.detection.metrics import DetectionMetrics
from vjo_train.heads.detection.objects import Objects
from vjo_train.types import Batch, Detections, Target


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
        return Objects.of(targets, [self.labelled(target) for target in targets])

    @torch.no_grad()
    def decode(self, outputs: Any, batch: Batch) -> list[Detections]:
        """The objects found in each image, in the pixels of its file.

        `batch.originals` must be there: they hold the files' sizes, to which boxes are cut.
        """
        sizes = torch.tensor([target.size for target in batch.targets], dtype=torch.float32, device=batch.scales.device)
        originals = torch.tensor([target.size for target in batch.originals], device=sizes.device)
        with torch.autocast(sizes.device.type, enabled=False):
            pairs, boxes = self.find(outputs, sizes, self.score_threshold)
            scales = batch.scales[pairs.image, None]
            boxes = clip((boxes / scales)[:, None], originals[pairs.image])[:, 0]
        real = (boxes[:, 2:] > boxes[:, :2]).all(1)
        pairs, boxes = pairs[real], boxes[real]
        counts = pairs.image.bincount(minlength=len(sizes)).tolist()
        images = zip(*(torch.split(rows, counts) for rows in (boxes, pairs.score, pairs.label)), strict=True)
        return [self._suppress(*image) for image in images]

    def _suppress(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> Detections:
        """Non-maximum suppression of one image, class by class; best score first."""
        best = batched_nms(boxes, scores, labels, self.nms_threshold)[: self.detections_per_image]
        return Detections(boxes=boxes[best], scores=scores[best], labels=labels[best])

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
