"""Figures of maps that are means over the images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from vjo_train.heads.base import TaskMetrics
from vjo_train.runs.records import Averages
from vjo_train.types import Target


class MapMetrics(TaskMetrics):
    """Images that are not labelled, or have no pixel that counts, are left out.

    Args:
        label: the kind of label.
        names: of the figures; the first one stands for the task.
        figures: prediction and truth of an image -> its figures.
    """

    def __init__(
        self, label: str, names: Sequence[str], figures: Callable[[Tensor, Tensor], Mapping[str, Tensor]]
    ) -> None:
        from vjo_train.metrics.image_means import ImageMeans

        super().__init__()
        self.label, self.figures = label, figures
        self.means = ImageMeans(names)

    def update(self, predictions: list[Tensor], targets: list[Target]) -> None:
        for prediction, target in zip(predictions, targets, strict=True):
            if self.label in target and target[self.label].isfinite().any():
                self.means.update(self.figures(prediction, target[self.label]))

    def compute(self) -> dict[str, Tensor]:
        return self.means.compute()

    def reset(self) -> None:
        self.means.reset()

    def records(self) -> Averages:
        return self.means.records()
