"""Yes and no by pixel: precision and recall over thresholds."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vjo_train.metrics.collect import RowMetric
from vjo_train.runs.records import Thresholds
from vjo_train.types import IGNORE

STEPS = 100
"""Thresholds 0, 1 / STEPS, .., (STEPS - 1) / STEPS."""


class BinaryPixels(RowMetric):
    """`f_max` and `iou` over the counted pixels of all images together.

    `f_max` is the greatest F1 over one threshold for the whole set, pixel by pixel without tolerance (ODS of Martin,
    Fowlkes, Malik 2004 allows neighbours to match; this does not); `iou` is that of pixels from 0.5 on.
    """

    counts: list[Tensor]
    numbers: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_rows("counts", 2 * (STEPS + 1), torch.int32)
        self.add_rows("numbers", 1, torch.int64)

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
        self.append("numbers", torch.tensor([[self.arrived("numbers")]]))
        self.append("counts", torch.bincount(places, minlength=2 * (STEPS + 1))[None])

    def compute(self) -> dict[str, Tensor]:
        """`f_max`, `iou`, float64; NaN where no pixel is a yes, neither in the truth nor in the prediction."""
        counts = torch.from_numpy(self.rows("counts").sum(axis=0, dtype=np.int64)).view(2, STEPS + 1)
        wrong, right = counts.double().flip(1).cumsum(1).flip(1)  # at or above each threshold
        positives = right[0]
        f1 = 2 * right / (right + wrong + positives)
        half = STEPS // 2
        return {"f_max": f1[:STEPS].max(), "iou": right[half] / (wrong[half] + positives)}

    def records(self) -> Thresholds:
        """Every image's counts, of all ranks; images number as they arrived."""
        with self.sync_context():
            order = np.argsort(self.rows("numbers")[:, 0], kind="stable")
            counts = self.rows("counts")[order]
        return Thresholds(counts=counts.reshape(-1, 2, STEPS + 1))
