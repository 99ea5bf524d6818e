"""Figures that are means over the images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vjo_train.metrics.collect import RowMetric
from vjo_train.runs.records import Averages


class ImageMeans(RowMetric):
    """Keeps every image's own figures; all images count alike, whatever their size.

    Args:
        names: of the M figures; the first one stands for the task.
    """

    figures: list[Tensor]
    numbers: list[Tensor]

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.names = tuple(names)
        self.add_rows("figures", len(self.names), torch.float64)
        self.add_rows("numbers", 1, torch.int64)

    def update(self, figures: Mapping[str, Tensor]) -> None:
        """Takes the figures of one image.

        Raises:
            ValueError: other figures than `names`, or one that is not finite.
        """
        if set(figures) != set(self.names):
            raise ValueError(f"`figures` should be {sorted(self.names)}. Found {sorted(figures)}.")
        row = torch.stack([torch.as_tensor(figures[name], dtype=torch.float64).cpu() for name in self.names])
        if not row.isfinite().all():
            raise ValueError(f"`figures` should be finite. Found {dict(zip(self.names, row.tolist(), strict=True))}.")
        self.append("numbers", torch.tensor([[self.arrived("numbers")]]))
        self.append("figures", row[None])

    def compute(self) -> dict[str, Tensor]:
        """Their means over the images, float64; NaN without images."""
        rows = torch.from_numpy(self.rows("figures"))
        return dict(zip(self.names, rows.mean(0), strict=True))

    def records(self) -> Averages:
        """Every image's figures, of all ranks; images number as they arrived."""
        with self.sync_context():
            values: npt.NDArray[np.float64] = self.rows("figures")
            order = np.argsort(self.rows("numbers")[:, 0], kind="stable")
        return Averages(values=values[order].astype(np.float32), metrics=list(self.names))
