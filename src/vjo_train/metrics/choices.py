"""Single-label classification: accuracy, by class, and among the first five."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vjo_train.metrics.calibration import calibration_error
from vjo_train.metrics.collect import RowMetric, check_classes
from vjo_train.runs.records import Choices


class CategoryAccuracy(RowMetric):
    """`top1`, `top5` where there are more than five classes, `balanced_accuracy`, `recall` by class, and `ece`.

    Args:
        num_classes: C.
    """

    rows_kept: list[Tensor]
    probabilities: list[Tensor]
    confidences: list[Tensor]

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = check_classes(num_classes)
        self.likeliest = 5 if num_classes > 5 else 1
        self.add_rows("rows_kept", 2 + self.likeliest, torch.int64)  # number on this rank, truth, likeliest classes
        self.add_rows("probabilities", None, torch.float64)  # of the true class
        self.add_rows("confidences", None, torch.float64)  # of the likeliest

    def update(self, probabilities: Tensor, truth: int) -> None:
        """Takes one image: probabilities [C], and its class in 0..C-1.

        Raises:
            ValueError: probabilities of another shape, or a class out of range.
        """
        if probabilities.shape != (self.num_classes,) or not 0 <= truth < self.num_classes:
            found = f"{list(probabilities.shape)} and {truth}"
            raise ValueError(f"needed are {self.num_classes} probabilities and one of their places. Found {found}.")
        best = probabilities.sort(descending=True, stable=True).indices[: self.likeliest].tolist()
        self.append("probabilities", probabilities[truth][None])
        self.append("confidences", probabilities.max()[None])
        self.append("rows_kept", torch.tensor([[self.arrived("rows_kept"), truth, *best]]))

    def compute(self) -> dict[str, Tensor]:
        """The figures, float64; `balanced_accuracy` is the mean of `recall` [C] over the classes that are there."""
        rows = torch.from_numpy(self.rows("rows_kept"))
        truth, right = rows[:, 1], rows[:, 2:] == rows[:, 1:2]
        number = torch.bincount(truth, minlength=self.num_classes)
        recall = torch.bincount(truth, right[:, 0].double(), minlength=self.num_classes) / number
        figures = {"top1": right[:, 0].double().mean(), "balanced_accuracy": recall.nanmean(), "recall": recall}
        figures["ece"] = calibration_error(self.rows("confidences"), right[:, 0].numpy())
        return figures | ({"top5": right.any(1).double().mean()} if self.likeliest == 5 else {})

    def records(self) -> Choices:
        """Every image's class and the likeliest ones, of all ranks; images number as they arrived."""
        with self.sync_context():
            rows, probability = self.rows("rows_kept"), self.rows("probabilities")
            confidence = self.rows("confidences")
        order = np.argsort(rows[:, 0], kind="stable")
        rows = rows[order]
        return Choices(
            truth=rows[:, 1].astype(np.int32),
            found=rows[:, 2:].astype(np.int32),
            probability=probability[order].astype(np.float32),
            classes=np.array([self.num_classes]),
            confidence=confidence[order].astype(np.float32),
        )
