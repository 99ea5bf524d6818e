"""Semantic segmentation: IoU and accuracy from one confusion matrix."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vjo_train.metrics.collect import INTEGERS, RowMetric, check_classes
from vjo_train.runs.records import Pixels
from vjo_train.types import IGNORE


class SegmentationIoU(RowMetric):
    """Intersection over union by class, and the share of right pixels, over the pixels of all images together.

    After the VOC development kit (VOCevalseg): pixels whose ground truth is 255 count neither way; the IoU of a class
    is tp / (tp + fp + fn) over the whole set, not a mean over images.

    Args:
        num_classes: C; the maps hold 0 for background and k + 1 for class k.
    """

    confusion: Tensor
    cells: list[Tensor]
    numbers: list[Tensor]

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = check_classes(num_classes)
        counts = torch.zeros(num_classes + 1, num_classes + 1, dtype=torch.int64)
        self.add_state("confusion", default=counts, dist_reduce_fx="sum")
        self.add_rows("cells", 2, torch.int64)  # each image's matrix: a place that is not 0, pixels
        self.add_rows("numbers", 2, torch.int64)  # each image's number on this rank, its cells

    def update(self, prediction: Tensor, truth: Tensor) -> None:
        """Takes one image.

        Args:
            prediction: [H, W] integer in 0..C.
            truth: [H, W] integer in 0..C, or 255 where a pixel does not count.

        Raises:
            ValueError: maps of different shapes, of no integers, or with other values.
        """
        if prediction.shape != truth.shape:
            raise ValueError(
                f"`prediction` and `truth` should be of one shape. Found {list(prediction.shape)}, {list(truth.shape)}."
            )
        for name, value in (("prediction", prediction), ("truth", truth)):
            if value.dtype not in INTEGERS:
                raise ValueError(f"`{name}` should be integer. Found {value.dtype}.")
        counted = truth != IGNORE
        rows, columns = truth[counted].long(), prediction[counted].long().to(truth.device)
        for name, values in (("prediction", columns), ("truth", rows)):
            if len(wrong := values[(values < 0) | (values > self.num_classes)]):
                raise ValueError(f"`{name}` should be in 0..{self.num_classes}. Found {int(wrong[0])}.")
        size = self.num_classes + 1
        counts = torch.bincount(rows * size + columns, minlength=size * size).view(size, size)
        self.confusion += counts.to(self.confusion.device)
        places = counts.flatten().nonzero()
        self.append("cells", torch.cat([places, counts.flatten()[places]], dim=1))
        self.append("numbers", torch.tensor([[len(self.numbers), len(places)]]))

    def compute(self) -> dict[str, Tensor]:
        """`miou`, `pixel_accuracy`, `iou_background` (scalars) and `iou` [C], float64 (float32 where there is none).

        `miou` is the mean over background and classes, without those that appear neither in the ground truth nor in
        the predictions (at counted pixels), whose IoU is NaN. Without any counted pixel all figures are NaN.
        """
        counts = self.confusion.to(torch.float32 if self.device.type == "mps" else torch.float64)
        hits = counts.diagonal()
        iou = hits / (counts.sum(0) + counts.sum(1) - hits)
        return {
            "miou": iou.nanmean(),
            "pixel_accuracy": hits.sum() / counts.sum(),
            "iou_background": iou[0],
            "iou": iou[1:],
        }

    def records(self) -> Pixels:
        """The confusion matrix of every image of all ranks; images number as they arrived."""
        with self.sync_context():
            cells, numbers = self.rows("cells"), self.rows("numbers")
            place = np.empty(len(numbers), dtype=np.int32)
            place[np.argsort(numbers[:, 0], kind="stable")] = np.arange(len(numbers))
            truth, found = np.divmod(cells[:, 0], self.num_classes + 1)
            return Pixels(
                image=np.repeat(place, numbers[:, 1]),
                truth=truth.astype(np.uint8),
                found=found.astype(np.uint8),
                count=cells[:, 1],
                shape=np.array([len(numbers), self.num_classes + 1]),
            )
