"""Whether a score of 0.8 is right in 80 of 100 cases: the expected calibration error."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vjo_train.metrics.matching import Flags, Floats
from vjo_train.runs.records.reliability import BINS


def calibration_error(confidence: Floats, right: Flags) -> Tensor:
    """The mean distance between confidence and share of right answers over 15 bins, by how many answers lie in each.

    Expected calibration error (Naeini et al. 2015; Guo et al. 2017), by torchmetrics. NaN of no answers.

    Args:
        confidence: [N] in 0..1.
        right: [N].
    """
    from torchmetrics.functional.classification import binary_calibration_error  # slow to import, see `TaskMetrics`

    if not len(confidence):
        return torch.tensor(torch.nan, dtype=torch.float64)
    found = torch.from_numpy(np.asarray(confidence, np.float64)), torch.from_numpy(right.astype(np.int64))
    return binary_calibration_error(*found, n_bins=BINS, norm="l1").double()
