"""ConFIG (Liu, Chu & Thuerey 2024, "ConFIG: Towards Conflict-free Training of Physics Informed Neural Networks")."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vjo_train.weighting.gradients import GradientWeighting


def config_weights(gramian: Tensor) -> Tensor:
    """G [K, K] -> weights [K] of the direction with one cosine to all gradients, as long as their projections' sum.

    With unit gradients U = diag(1/|g|) J, the direction is U^+ 1 = U^T (U U^T)^+ 1, and its length sum_k <g_k, unit>.
    A zero gradient takes no part: its weight is 0. Zeros where there is no such direction.
    """
    norms = gramian.diagonal().sqrt()
    units = torch.where(norms > 0, norms, torch.ones_like(norms))
    cosines = gramian / units / units[:, None]
    along = torch.linalg.pinv(cosines, hermitian=True, rtol=1e-10) @ torch.ones_like(norms)
    length = (along @ cosines @ along).clamp(min=0)
    if length <= 1e-20:
        return torch.zeros_like(norms)
    total = norms @ (cosines @ along)
    return torch.where(norms > 0, total / length * along / units, torch.zeros_like(norms))


class ConFIG(GradientWeighting):
    """The direction that makes the same angle with every task's gradient, so it conflicts with none.

    Scale: the update's length is the sum of the projections of the gradients, as for the plain sum of parallel
    gradients; weights do not sum to K. Where there is no such direction (gradients that cancel), the shared parameters
    stay as they are; that is counted in `unsolved` and logged. Heads get their own gradients.

    Args:
        tasks: the names of all heads.
        options: see `GradientWeighting`.
    """

    def weights(self, gramian: Tensor, values: Tensor, tasks: Sequence[str]) -> Tensor:
        weights = config_weights(gramian)
        if gramian.any():
            self.settle(0.0 if weights.any() else 1.0, 1e-10, "the shared parameters get no gradient from this batch")
        return weights
