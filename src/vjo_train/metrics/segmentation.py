"""Semantic segmentation: IoU and accuracy from one confusion matrix."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

from vjo_train.metrics.collect import INTEGERS, check_classes
from vjo_train.types import IGNORE


class SegmentationIoU(Metric):
    """Intersection over union by class, and the share of right pixels, over the pixels of all images together.

    After the VOC development kit (VOCevalseg): pixels whose ground truth is 255 count neither way; the IoU of a class
    is tp / (tp + fp + fn) over the whole set, not a mean over images.

    Args:
        num_classes: C; the maps hold 0 for background and k + 1 for class k.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    confusion: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = check_classes(num_classes)
        counts = torch.zeros(num_classes + 1, num_classes + 1, dtype=torch.int64)
        self.add_state("confusion", default=counts, dist_reduce_fx="sum")

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
