"""How well what is missing in a picture is filled in."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from vjo_train.heads.base import TaskMetrics
from vjo_train.types import Target


class ErrorMetrics(TaskMetrics):
    """`r2`: 1 - the squared error over all pictures, relative to that of who looks at nothing.

    1 is a perfect picture, 0 the plain guess; an untrained network is below it.
    """

    def __init__(self) -> None:
        from vjo_train.metrics.image_means import ImageMeans

        super().__init__()
        self.means = ImageMeans(["error", "plain"])

    def update(self, predictions: list[Any], targets: list[Target]) -> None:
        """Takes, for each picture, [2]: the squared error and that of the plain guess; or None, which is left out."""
        for own in predictions:
            if own is not None:
                self.means.update({"error": own[0], "plain": own[1]})

    def compute(self) -> dict[str, Tensor]:
        means = self.means.compute()
        return {"r2": 1 - means["error"] / means["plain"]}

    def reset(self) -> None:
        self.means.reset()
