"""GradNorm (Chen et al. 2018, "GradNorm: Gradient Normalization for Adaptive Loss Balancing")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Unpack

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from vjo_train.weighting.gradients import EngineOptions, GradientWeighting


def gradnorm_slopes(weights: Tensor, norms: Tensor, progress: Tensor, alpha: float) -> Tensor:
    """d/dw_k of sum_k |w_k n_k - mean(w n) r_k^alpha|, the target held constant.

    Args:
        weights: w [k].
        norms: n_k [k], of the plain losses' gradients.
        progress: L_k / L_k(0) [k]; r_k is it over its mean.
        alpha: how strongly slow tasks are helped.
    """
    reached = weights * norms
    target = reached.mean() * (progress / progress.mean().clamp(min=1e-30)) ** alpha
    return (reached - target).sign() * norms


class GradNorm(GradientWeighting):
    """A loss weighting that draws the tasks' gradient norms to mean norm x (relative inverse training rate)^alpha.

    The norms are those at the last weight that all tasks train (`at=last_shared`), as in the paper. L_k(0) is the loss
    of the task's first batch. A batch is trained with the weights from before its own step of them. Their slopes are
    divided by the mean norm, so that `lr` means the same for any network; the paper has Adam there.

    Scale: the weights of all tasks are put to sum to K after each step. Heads are weighted like the shared parameters.

    Args:
        tasks: the names of all heads.
        alpha: how strongly slow tasks are helped; 1.5 and 0.12 in the paper.
        lr: step size of the weights.
        at: where the norms are taken; see `GradientWeighting`.
        options: see `GradientWeighting`.
    """

    weights_heads: ClassVar[bool] = True
    current: Tensor
    first: Tensor

    def __init__(
        self,
        *,
        alpha: Annotated[float, Ge(0)] = 1.5,
        lr: Annotated[float, Gt(0)] = 0.025,
        at: Literal["parameters", "features", "last_shared"] = "last_shared",
        **options: Unpack[EngineOptions],
    ) -> None:
        super().__init__(at=at, **options)
        self.alpha, self.lr = alpha, lr
        self.register_buffer("current", torch.ones(len(self.tasks), dtype=torch.float64))
        self.register_buffer("first", torch.full((len(self.tasks),), float("nan"), dtype=torch.float64))

    def weights(self, gramian: Tensor, values: Tensor, tasks: Sequence[str]) -> Tensor:
        places = self.index(tasks)
        weights, first = self.current[places], self.first[places]
        self.first[places] = first = torch.where(first.isnan(), values, first).clamp(min=1e-12)
        norms = gramian.diagonal().sqrt()
        slopes = gradnorm_slopes(weights, norms, values / first, self.alpha) / norms.mean().clamp(min=1e-300)
        self.current[places] = (weights - self.lr * slopes).clamp(min=1e-3)
        self.current *= len(self.tasks) / self.current.sum()
        return weights
