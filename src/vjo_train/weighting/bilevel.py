"""The base of weightings that learn their weights by what a step does to held-out images."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, ClassVar, Unpack

import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn

from vjo_train.errors import NumericsError
from vjo_train.weighting.adam import adam
from vjo_train.weighting.base import ImageLosses, Options, TaskLosses, Weighting, parameter_gramian, refuse
from vjo_train.weighting.jacobian import Row, add_to_grad, distributed, fresh_row, packed
from vjo_train.weighting.virtual_step import directional_derivatives, length, moved


class BilevelOptions(Options, total=False):
    """What every weighting that learns from held-out images can be told; see `BilevelWeighting`."""

    lr: Annotated[float, Gt(0)]
    virtual_lr: Annotated[float, Gt(0)]
    every: Annotated[int, Ge(1)]
    primary: Sequence[str] | None
    helpers: Sequence[str]


class BilevelWeighting(Weighting):
    """Weights w_ik of image i for task k, learned so that a step with them brings down the losses of held-out images.

    The network trains on L = sum_k mean_i w_ik l_ik (the mean over the images labelled for k). A virtual step of plain
    SGD leads to theta' = theta - a grad L; the meta objective is the plain sum of the primary tasks' losses there, on
    the meta split. Its derivative is exact up to central differences,

        d L_meta(theta') / d w_ik = -a / n_k <grad l_ik(theta), v>,    v = grad L_meta(theta'),

    n_k the number of labelled images, and Adam follows it. The products of all images and tasks with v are one
    directional derivative of the losses, so a batch that learns costs a forward and a backward on its own images (the
    training step itself), a forward and a backward on as many meta images, and two forwards without graph, in float32.
    Batches in between (`every`) cost what `equal` costs. Memory: one graph at a time, and three copies of the
    parameters.

    A batch trains with the weights from before its own learning, so that its one backward gives both the virtual step
    and the update; the papers take a second backward for the new weights.

    Under accumulation every batch learns, from a virtual step of its own gradient alone. Under an alternating schedule
    the weights of the task that is on are those it has among all K, and the meta objective is always that of all
    primary tasks. An overflow under loss scaling skips the learning.

    Losses with sudden changes (which boxes are proposed, which are matched) enter the differences as they are.

    Args:
        tasks: the names of all heads.
        lr: Adam's learning rate of what is learned.
        virtual_lr: a, the step size of the virtual step.
        every: learn on every so many batches.
        primary: the tasks whose held-out losses count; null for all but `helpers`.
        helpers: self-supervised tasks, which are no goals: their held-out losses never count.
        options: see `Weighting`.

    Raises:
        ConfigError: `primary` names no task, or one that is not there or self-supervised.
    """

    tells_images_apart: ClassVar[bool]
    """Whether the images of a batch have different weights."""
    learned: Tensor
    mean: Tensor
    square: Tensor
    updates: Tensor

    def __init__(
        self,
        *,
        lr: Annotated[float, Gt(0)] = 0.001,
        virtual_lr: Annotated[float, Gt(0)] = 0.01,
        every: Annotated[int, Ge(1)] = 1,
        primary: Sequence[str] | None = None,
        helpers: Sequence[str] = (),
        **options: Unpack[Options],
    ) -> None:
        super().__init__(**options)
        self.lr, self.virtual_lr = lr, virtual_lr
        goals = tuple(task for task in self.tasks if task not in helpers)
        wanted = goals if primary is None else tuple(primary)
        if not wanted or not set(wanted) <= set(goals):
            raise refuse("primary", list(wanted), f"name some of the tasks, {', '.join(goals)}.")
        # The weight of a single task is 1, and no image can tell anything about it.
        self.meta_tasks = wanted if len(self.tasks) > 1 else ()
        self.meta_every = every
        self.register_buffer("updates", torch.tensor(0))

    def start(self, learned: Tensor) -> None:
        """Registers what is learned [size], with Adam's state; for the end of a constructor."""
        self.register_buffer("learned", learned.double())
        for name in ("mean", "square"):
            self.register_buffer(name, torch.zeros_like(self.learned))

    @abstractmethod
    def weights(self, learned: Tensor, images: ImageLosses) -> Tensor:
        """What is learned [size] float64 -> the weights [b, K] of all tasks, differentiable, mean 1 over the tasks."""

    def backward(self, step: TaskLosses) -> dict[str, Tensor]:
        if step.images is None:
            raise refuse("_target_", type(self).__name__, "this training step does not tell the losses of its images.")
        with self.transaction(step):
            self.diagnostics = {}
            if self.looks(step):
                self.inspect(parameter_gramian([loss * step.factor for loss in step.losses.values()], step), step)
            learned = self.learned.clone().requires_grad_()
            weights = self.weights(learned, step.images)[:, self.index(step.tasks)]
            shares = step.images.shares.cpu().double()
            row = _gradient(step, step.images, weights.detach() * shares)
            slopes = None if step.meta is None else self._slopes(step, step.images, row)
            if slopes is not None:
                self._learn(learned, weights, slopes * shares, step.factor)
            add_to_grad([*step.shared, *step.trained], row)
            self.calls += 1
        return self._report(step, weights.detach(), shares)

    def _slopes(self, step: TaskLosses, images: ImageLosses, row: Row) -> Tensor | None:
        """-a <grad l_ik, v> [b, k] float64 (CPU) for the gradient `row` of this batch; None after an overflow."""
        parameters, factor = [*step.shared, *step.trained], float(step.factor)
        if not _finite(row, step, "weighted loss", "optimizer.lr"):
            return None
        assert step.meta is not None
        with moved(parameters, row, -self.virtual_lr / factor):
            direction = _summed(step, [loss for loss in step.meta().values() if loss.requires_grad])
        if not _finite(direction, step, "meta loss", "weighting.virtual_lr"):
            return None

        def again() -> Tensor:
            losses = images.again()
            return torch.stack([losses[task] for task in step.tasks], dim=1)

        return directional_derivatives(again, parameters, direction).cpu() * (-self.virtual_lr / factor)

    def _learn(self, learned: Tensor, weights: Tensor, slopes: Tensor, like: Tensor) -> None:
        """One step of Adam along the slopes [b, k] of the weights, summed over the images of all ranks."""
        (gradient,) = torch.autograd.grad(weights, learned, slopes)
        gradient = _over_ranks(gradient, like)
        self.updates += 1
        direction, mean, square = adam(gradient, self.mean, self.square, self.updates)
        self.learned.sub_(self.lr * direction)
        self.mean.copy_(mean)
        self.square.copy_(square)

    def _report(self, step: TaskLosses, weights: Tensor, shares: Tensor) -> dict[str, Tensor]:
        """The mean weights of the labelled images; where images differ, their spread and the images' own are kept."""
        mean = _over_ranks((shares * weights).sum(0), step.factor)
        if self.tells_images_apart:
            spread = _over_ranks((shares * (weights - mean) ** 2).sum(0), step.factor).sqrt()
            self.diagnostics |= {f"spread/{task}": float(s) for task, s in zip(step.tasks, spread, strict=True)}
            self.image_weights = dict(
                zip(step.tasks, torch.where(shares > 0, weights, math.nan).unbind(1), strict=True)
            )
        return dict(zip(step.tasks, mean.float(), strict=True))


def _over_ranks(tensor: Tensor, like: Tensor) -> Tensor:
    """The sum over the ranks, which talk on the device of `like`."""
    if not distributed():
        return tensor
    total = tensor.to(like.device)
    torch.distributed.all_reduce(total)
    return total.to(tensor.device)


def _gradient(step: TaskLosses, images: ImageLosses, weights: Tensor) -> Row:
    """The gradient of sum_ik weights_ik l_ik and of the sharing's losses, summed over ranks, times `step.factor`."""
    columns = weights.float().to(step.factor.device).unbind(1)
    terms = [
        (w * images.losses[task]).sum()
        for w, task in zip(columns, step.tasks, strict=True)
        if step.losses[task].requires_grad
    ]
    if step.auxiliary is not None and step.auxiliary.requires_grad:
        terms.append(step.auxiliary)
    return _summed(step, terms)


def _summed(step: TaskLosses, losses: Sequence[Tensor]) -> Row:
    """The gradient of a sum of losses times `step.factor`, summed over the ranks."""
    parameters: list[nn.Parameter] = [*step.shared, *step.trained]
    total = [torch.stack([loss.float() for loss in losses]).sum() * step.factor] if losses else []
    row = fresh_row(parameters, total, [None] * len(total))
    if distributed() and parameters:
        packed([row], parameters)
    return row


def _finite(row: Row, step: TaskLosses, what: str, key: str) -> bool:
    """Whether a gradient is finite; False only under loss scaling.

    Raises:
        NumericsError: it is not, and no loss scaler is at work.
    """
    if math.isfinite(length(row)):
        return True
    if step.scaled:
        return False
    raise NumericsError(f"The gradient of the {what} is not finite at batch {step.step}. Lower {key}.")


def normalised(logits: Tensor) -> Tensor:
    """[.., K] -> K softmax(logits), exactly 1 each where the logits are equal."""
    powers = (logits - logits.amax(-1, keepdim=True)).exp()
    return powers / powers.mean(-1, keepdim=True)
