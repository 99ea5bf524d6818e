"""IMTL-G (Liu et al. 2021, "Towards Impartial Multi-task Learning")."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vjo_train.weighting.gradients import GradientWeighting


def imtl_g_weights(gramian: Tensor) -> Tensor:
    """G [K, K] -> weights [K] = K v / sum(v), v = G^+ d, d_k = |g_k|: all g_k / |g_k| project equally on the update.

    Weights may be negative. Tasks with a zero gradient weigh 0. Zeros where sum(v) = 0: no such direction exists.
    """
    norms = gramian.diagonal().sqrt()
    units = torch.where(norms > 0, norms, torch.ones_like(norms))
    cosines = gramian / units / units[:, None]  # G^+ for badly scaled tasks would drop the small ones
    v = torch.linalg.pinv(cosines, hermitian=True, rtol=1e-10) @ (norms > 0).to(norms) / units
    v = torch.where(norms > 0, v, torch.zeros_like(v))
    total = v.sum()
    if total.abs() <= 1e-10 * v.abs().sum() or not (v != 0).any():
        return torch.zeros_like(v)
    return len(v) * v / total


class IMTLG(GradientWeighting):
    """The update on whose direction every task's unit gradient has the same projection.

    Scale: the weights sum to K; some may be negative. Heads get their own gradients. Where no such direction exists
    (opposite gradients) the shared parameters stay as they are; that is counted in `unsolved` and logged.

    Args:
        tasks: the names of all heads.
        options: see `GradientWeighting`.
    """

    def weights(self, gramian: Tensor, values: Tensor, tasks: Sequence[str]) -> Tensor:
        weights = imtl_g_weights(gramian)
        if gramian.any():
            self.settle(0.0 if weights.any() else 1.0, 1e-10, "the shared parameters get no gradient from this batch")
        return weights
