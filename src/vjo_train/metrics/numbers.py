"""Regression of numbers of a whole image: errors and explained variance, by number."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchmetrics.functional import mean_absolute_error, mean_squared_error, r2_score

from vjo_train.metrics.collect import RowMetric, check_classes
from vjo_train.runs.records import Numbers


class NumberErrors(RowMetric):
    """`mae`, `rmse` in the units of the data and `r2`, means over the numbers; the same of each as `<name>_number` [V].

    What is unknown is left out, number by number. `r2` is undefined, NaN, of fewer than two images or of equal truths.

    Args:
        count: V.
    """

    truth: list[Tensor]
    found: list[Tensor]
    numbers: list[Tensor]

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = check_classes(count)
        self.add_rows("truth", self.count, torch.float64)
        self.add_rows("found", self.count, torch.float64)
        self.add_rows("numbers", 1, torch.int64)

    def update(self, found: Tensor, truth: Tensor) -> None:
        """Takes one image: what was said, and what is true or NaN, both [V].

        Raises:
            ValueError: another shape, or a prediction that is not finite.
        """
        if found.shape != (self.count,) or truth.shape != (self.count,) or not found.isfinite().all():
            shapes = f"{list(found.shape)} and {list(truth.shape)}"
            raise ValueError(f"needed are {self.count} finite numbers and as many truths. Found {shapes}, {found}.")
        self.append("numbers", torch.tensor([[self.arrived("numbers")]]))
        self.append("truth", truth[None])
        self.append("found", found[None])

    def compute(self) -> dict[str, Tensor]:
        """The figures, float64."""
        found, truth = (torch.from_numpy(rows) for rows in self._in_order())
        rows = [_errors(own, true) for own, true in zip(found.unbind(1), truth.unbind(1), strict=True)]
        by_number = dict(zip(("mae", "rmse", "r2"), torch.stack(rows).unbind(1), strict=True))
        means = {name: values.nanmean() for name, values in by_number.items()}
        return means | {f"{name}_number": values for name, values in by_number.items()}

    def records(self) -> Numbers:
        """Every image's numbers, of all ranks; images number as they arrived."""
        with self.sync_context():
            found, truth = self._in_order()
        return Numbers(truth=truth, found=found)

    def _in_order(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """What was said and what is true, [I, V], as one process would have met the images."""
        order = np.argsort(self.rows("numbers")[:, 0], kind="stable")
        return self.rows("found")[order], self.rows("truth")[order]


def _errors(found: Tensor, truth: Tensor) -> Tensor:
    """[3] float64: mean absolute error, root of the mean squared error, R2; of [I], NaN where the truth is unknown."""
    known = truth.isfinite()
    found, truth = found[known], truth[known]
    if not len(truth):
        return torch.full((3,), torch.nan, dtype=torch.float64)
    varied = len(truth) > 1 and bool((truth != truth[0]).any())
    r2 = r2_score(found, truth) if varied else torch.tensor(torch.nan)
    return torch.stack([
        mean_absolute_error(found, truth).double(),
        mean_squared_error(found, truth, squared=False).double(),
        r2.double(),
    ])  # fmt: skip
