"""Yes and no by pixel: precision and recall over thresholds."""

from __future__ import annotations

import torch
from torch import Tensor

from vjo_train.metrics.collect import RowMetric
from vjo_train.types import IGNORE

STEPS = 100
"""Thresholds 0, 1 / STEPS, .., (STEPS - 1) / STEPS."""


class BinaryPixels(RowMetric):
    """`f_max` and `iou` over the counted pixels of all images together.

    `f_max` is the greatest F1 over one threshold for the whole set, pixel by pixel without tolerance (ODS of Martin,
    Fowlkes, Malik 2004 allows neighbours to match; this does not); `iou` is that of pixels from 0.5 on.
    """

    counts: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("counts", default=torch.zeros(2, STEPS + 1, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, prediction: Tensor, truth: Tensor) -> None:
        """Takes one image: probabilities [H, W], and 1, 0 or 255 of each pixel.

        Raises:
            ValueError: maps of different shapes.
        """
        if prediction.shape != truth.shape:
            raise ValueError(
                f"`prediction` and `truth` should be of one shape. Found {list(prediction.shape)}, {list(truth.shape)}."
            )
        counted = truth != IGNORE
        steps = (prediction[counted].double() * STEPS).floor().long().clamp(0, STEPS)
        places = truth[counted].long() * (STEPS + 1) + steps
        found = torch.bincount(places, minlength=2 * (STEPS + 1)).view(2, STEPS + 1)
        self.counts += found.to(self.counts.device)

    def compute(self) -> dict[str, Tensor]:
        """`f_max`, `iou`, float64; NaN where no pixel is a yes, neither in the truth nor in the prediction."""
        wrong, right = self.counts.double().flip(1).cumsum(1).flip(1)  # at or above each threshold
        positives = right[0]
        f1 = 2 * right / (right + wrong + positives)
        half = STEPS // 2
        return {"f_max": f1[:STEPS].max(), "iou": right[half] / (wrong[half] + positives)}
