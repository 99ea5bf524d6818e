"""The contract of a weighting, and the base of those that weight losses."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn


@dataclass
class TaskLosses:
    """What one training step hands to the weighting. Absent tasks (no labelled image) are not in it."""

    losses: dict[str, Tensor]
    """Task -> scalar with graph: this rank's share of the mean over the labelled images of the GLOBAL batch.
    Summed over ranks it is the task loss. A scalar without graph where this rank has no labelled image."""
    values: dict[str, Tensor]
    """Task -> detached float32 scalar: the task loss of the global batch, the same on every rank."""
    factor: Tensor
    """Scalar: what every gradient is multiplied by (loss scale / accumulated batches); 1 in the plain case."""
    shared: list[nn.Parameter]
    """What more than one task trains."""
    own: dict[str, list[nn.Parameter]]
    """Task -> the parameters of its head (and whatever only this task trains)."""
    representation: list[Tensor]
    """The tensors at which the shared part ends."""
    auxiliary: Tensor | None = None
    """A scalar that is added to the weighted sum as it is (losses of the sharing itself); this rank's share too."""
    step: int = 0
    epoch: int = 0
    others: list[nn.Parameter] = field(default_factory=list)
    """Trainable parameters that are neither shared nor a present task's own (the weighting's own ones left out)."""
    scaled: bool = True
    """Whether a loss scaler is at work, so that a gradient may overflow without ending the run; then the weighting
    looks at every gradient and keeps its state when one is not finite."""

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(self.losses)


class Weighting(nn.Module):
    """Turns K task losses into the gradients of one update. All state is in buffers or parameters.

    Args:
        tasks: the names of all heads; K is their number.
    """

    def __init__(self, *, tasks: Sequence[str]) -> None:
        super().__init__()
        self.tasks = tuple(tasks)

    @abstractmethod
    def backward(self, step: TaskLosses) -> dict[str, Tensor]:
        """Adds this step's gradients to `.grad` of every parameter reached, summed over ranks.

        Returns:
            The weight of each present task, as detached scalars, for the log.
        """

    def index(self, tasks: Sequence[str]) -> list[int]:
        """The places of `tasks` among all tasks."""
        return [self.tasks.index(task) for task in tasks]

    @contextmanager
    def transaction(self, step: TaskLosses) -> Iterator[None]:
        """Undoes what the block did to the buffers if a fresh gradient is not finite (overflow under loss scaling).

        The decision stays on the device, so nothing waits for it.
        """
        before = [(buffer, buffer.clone()) for buffer in self.buffers()] if step.scaled else []
        yield
        if before:
            finite = gradients_finite(step)
            for buffer, old in before:
                buffer.copy_(torch.where(finite.to(buffer.device), buffer, old))


class LossWeighting(Weighting):
    """Weights the losses and takes one plain backward: heads and shared parameters scale alike."""

    @abstractmethod
    def weights(self, values: Tensor, tasks: Sequence[str], epoch: int) -> Tensor:
        """Losses [k] of the present `tasks` -> their weights [k] without graph.

        Called once per batch; updates the state. Weights sum to k when all weigh the same.
        """

    def backward(self, step: TaskLosses) -> dict[str, Tensor]:
        values = torch.stack([step.values[task] for task in step.tasks])
        with self.transaction(step):
            weights = self.weights(values, step.tasks, step.epoch).to(values.dtype)
            total = torch.stack(list(step.losses.values())) @ weights
            if step.auxiliary is not None:
                total = total + step.auxiliary
            accumulate_gradients(total * step.factor, step)
            self.learn(values, step.tasks, step.factor)
        return dict(zip(step.tasks, weights, strict=True))

    def learn(self, values: Tensor, tasks: Sequence[str], factor: Tensor) -> None:
        """Adds `factor` times their gradient to the weighting's own parameters, from global losses [k] (any rank)."""


def accumulate_gradients(loss: Tensor, step: TaskLosses) -> None:
    """One backward of `loss` into `.grad`; under several ranks the new gradients are summed over them first."""
    if not distributed():
        torch.autograd.backward(loss)
        return
    parameters = [*step.shared, *(p for task in step.tasks for p in step.own[task]), *step.others]
    gradients: Sequence[Tensor | None] = [None] * len(parameters)
    if loss.requires_grad:
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    add_reduced(parameters, gradients)


def add_reduced(parameters: Sequence[nn.Parameter], gradients: Sequence[Tensor | None]) -> None:
    """Sums `gradients` over the ranks in one flat all-reduce and adds them to `.grad`.

    A parameter that no rank's loss reaches keeps its `.grad` (None stays None).
    """
    reached = torch.tensor([g is not None for g in gradients], dtype=torch.float32, device=parameters[0].device)
    torch.distributed.all_reduce(reached)
    hit = [i for i, count in enumerate(reached.tolist()) if count > 0]
    if not hit:
        return
    flat = torch.cat(
        [(g if (g := gradients[i]) is not None else torch.zeros_like(parameters[i])).reshape(-1) for i in hit]
    )
    torch.distributed.all_reduce(flat)
    pieces = torch.split(flat, [parameters[i].numel() for i in hit])
    for i, piece in zip(hit, pieces, strict=True):
        parameter, gradient = parameters[i], piece.view_as(parameters[i])
        parameter.grad = gradient.clone() if parameter.grad is None else parameter.grad + gradient


def distributed() -> bool:
    """Whether more than one rank takes part in this training."""
    return (
        torch.distributed.is_available()
        and torch.distributed.is_initialized()
        and torch.distributed.get_world_size() > 1
    )


def gradients_finite(step: TaskLosses) -> Tensor:
    """Whether all gradients of the parameters in `step` are finite, as a bool scalar on their device."""
    parameters = [*step.shared, *(p for own in step.own.values() for p in own), *step.others]
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return torch.tensor(True)
    return torch.stack(torch._foreach_norm(gradients)).isfinite().all()
