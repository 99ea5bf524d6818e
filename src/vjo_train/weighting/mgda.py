"""MGDA (Desideri 2012; Sener & Koltun 2018, "Multi-Task Learning as Multi-Objective Optimization")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias, Unpack

import torch
from torch import Tensor

from vjo_train.weighting.gradients import GradientOptions, GradientWeighting
from vjo_train.weighting.solvers import check_count, min_norm

Normalize: TypeAlias = Literal["none", "l2", "loss", "loss+"]


def mgda_weights(gramian: Tensor, values: Tensor, normalize: Normalize) -> Tensor:
    """G [K, K], losses [K] -> weights [K] = K w, w the point of least norm of the hull of the gradients g_k / n_k.

    n_k is 1 (none), |g_k| (l2), L_k (loss) or L_k |g_k| (loss+). A zero gradient has n_k = 1 under l2 and loss+.
    """
    norms = gramian.diagonal().sqrt()
    norms = torch.where(norms > 0, norms, torch.ones_like(norms))
    scale = {"none": torch.ones_like(norms), "l2": norms, "loss": values, "loss+": values * norms}[normalize]
    scale = scale.clamp(min=1e-30)
    return len(gramian) * min_norm(gramian / scale / scale[:, None])


class MGDA(GradientWeighting):
    """The point of least norm in the convex hull of the (normalised) task gradients.

    As in the authors' code the normalisation only decides the weights, which then apply to the plain gradients. With
    `none` the update has no negative product with any task's gradient, and a task with a small gradient decides; with
    the others neither holds. The problem is solved exactly, not by Frank-Wolfe.

    Scale: the weights sum to K. Heads get their own gradients.

    Args:
        tasks: the names of all heads (at most 10).
        normalize: by what each gradient is divided first: none, l2 (its norm), loss, loss+ (both).
        options: see `GradientWeighting`.
    """

    def __init__(
        self, *, normalize: Literal["none", "l2", "loss", "loss+"] = "none", **options: Unpack[GradientOptions]
    ) -> None:
        super().__init__(**options)
        check_count(self.tasks)
        self.normalize: Normalize = normalize

    def weights(self, gramian: Tensor, values: Tensor, tasks: Sequence[str]) -> Tensor:
        return mgda_weights(gramian, values, self.normalize)
