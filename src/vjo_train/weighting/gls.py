"""Geometric loss strategy (Chennupati et al. 2019, "MultiNet++")."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from vjo_train.weighting.base import LossWeighting


def gls_weights(values: Tensor) -> Tensor:
    """Losses [K] > 0 -> weights [K]: the geometric mean over each loss, computed from logarithms."""
    logs = values.clamp(min=1e-12).log()
    return (logs.mean() - logs).exp()


class GLS(LossWeighting):
    """Minimises the geometric mean of the present tasks' losses: (prod_k L_k)^(1/K).

    Its gradient weighs L_k by the mean / (K L_k). Losses below 1e-12 count as 1e-12.

    Scale: K times that, so that equal losses weigh 1; the weights' product is 1, and their sum at least K. Heads are
    weighted like the shared parameters.

    Args:
        tasks: the names of all heads.
        options: see `Weighting`.
    """

    def weights(self, values: Tensor, tasks: Sequence[str], epoch: int) -> Tensor:
        return gls_weights(values)
