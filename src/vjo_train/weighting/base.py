"""The contract of a weighting, and the base of those that weight losses."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any, Required, TypedDict

import torch
from annotated_types import Ge
from torch import Tensor, nn
from torch.profiler import record_function

from vjo_train.errors import ConfigError, not_finite
from vjo_train.weighting.diagnostics import diagnose
from vjo_train.weighting.jacobian import (
    Row,
    add_to_grad,
    distributed,
    feature_rows,
    fresh_row,
    gramian,
    loss_rows,
    packed,
)


@dataclass
class ImageLosses:
    """This rank's b images one by one, for weightings that look at each; of the present tasks."""

    losses: dict[str, Tensor]
    """Task -> [b] float32 with graph; 0 where the image is not labelled."""
    labelled: dict[str, Tensor]
    """Task -> [b] bool."""
    counts: dict[str, int]
    """Task -> the labelled images of the GLOBAL batch."""
    summary: Tensor | None
    """[b, C] without graph: what kind of image each one is. None where the way of sharing does not say."""
    again: Callable[[], Mapping[str, Tensor]]
    """-> `losses` at what the parameters hold now, with the same draws in every call; statistics stay as they are."""

    @property
    def shares(self) -> Tensor:
        """[b, k] float32: 1 / the labelled images of the global batch, 0 where the image is not labelled."""
        return torch.stack([flags.float() / self.counts[task] for task, flags in self.labelled.items()], dim=1)


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
    """Task -> the parameters that it alone trains: those of its head, where the head's loss is one."""
    representation: list[Tensor]
    """The tensors at which the features that tasks share end."""
    auxiliary: Tensor | None = None
    """A scalar that is added to the weighted sum as it is (losses of the sharing itself); this rank's share too."""
    step: int = 0
    epoch: int = 0
    ids: Sequence[str] = ()
    """This rank's images, for messages."""
    others: list[nn.Parameter] = field(default_factory=list)
    """Trainable parameters that are neither shared nor a present task's own (the weighting's own ones left out)."""
    behind: list[nn.Parameter] = field(default_factory=list)
    """Those of `shared` behind the representation, in heads of several losses or a neck of some tasks; last in it."""
    scaled: bool = True
    """Whether a loss scaler is at work: each gradient is looked at then, and the state kept if one is not finite."""
    resample: Callable[[float], Mapping[str, Tensor]] | None = None
    """Share of the images in 0..1 -> a second forward on that many of them: the losses of the tasks labelled there,
    like `losses` (summed over ranks: the task loss of the sample). Must leave running statistics as they are."""
    images: ImageLosses | None = None
    """The images one by one; None where a caller cannot tell them."""
    meta: Callable[[], Mapping[str, Tensor]] | None = None
    """-> losses of `Weighting.meta_tasks` on held-out images, like `losses`, at what the parameters are now. Must leave
    running statistics as they are. None where no such batch goes with the step."""

    @property
    def trained(self) -> list[nn.Parameter]:
        """Every parameter but the shared ones."""
        return [*(p for own in self.own.values() for p in own), *self.others]

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(self.losses)


class Options(TypedDict, total=False):
    """What every weighting can be told."""

    tasks: Required[Sequence[str]]
    diagnose_every: Annotated[int, Ge(0)]


class Weighting(nn.Module):
    """Turns K task losses into the gradients of one update. All state is in buffers or parameters.

    Args:
        tasks: the names of all heads, or of the parts of its loss where a head has several (`instance/box`); K of them.
        diagnose_every: look at the task gradients every so many batches (see `diagnostics`), where there are several
            tasks; 0 for never. A look costs about as much as a training step.

    Attributes:
        diagnostics: figures on the task gradients of the last batch, by name; empty where it was not looked at.
        calls: how many batches were seen.
        unsolved: how often a solver did not reach its tolerance (each time is logged with its residual).
        meta_tasks: the tasks that batches of held-out images must be labelled for; empty where none are needed.
        meta_every: steps from one such batch to the next.
        calibrates: steps at the start of training that cost more than all later ones.
        image_weights: task -> [b] on the CPU, the weights of this rank's images in the last batch, NaN where one is not
            labelled; empty for a weighting that does not tell images apart.
    """

    meta_tasks: tuple[str, ...] = ()
    meta_every: int = 1
    calibrates: int = 0
    calls: Tensor
    unsolved: Tensor

    def __init__(self, *, tasks: Sequence[str], diagnose_every: Annotated[int, Ge(0)] = 50) -> None:
        super().__init__()
        self.tasks = tuple(tasks)
        self.diagnose_every = diagnose_every
        self.diagnostics: dict[str, float] = {}
        self.image_weights: dict[str, Tensor] = {}
        self.register_buffer("calls", torch.tensor(0))
        self.register_buffer("unsolved", torch.tensor(0))

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        """Leaves buffers on the CPU and in their types: a weighting's arithmetic is small, and exact."""
        kept = dict(self._buffers)
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._buffers.update(kept)
        return self

    def prepare(self, shared: Sequence[nn.Parameter]) -> None:
        """Called before training, and before its checkpoint is loaded, with what several tasks train."""

    @abstractmethod
    def backward(self, step: TaskLosses) -> dict[str, Tensor]:
        """Adds this step's gradients to `.grad` of every parameter reached, summed over ranks.

        Returns:
            The weight of each present task, as detached scalars, for the log.

        Raises:
            NumericsError: a gradient that is not finite, where no loss scaler is at work and the weighting sees it.
        """

    def index(self, tasks: Sequence[str]) -> list[int]:
        """The places of `tasks` among all tasks."""
        return [self.tasks.index(task) for task in tasks]

    @contextmanager
    def transaction(self, step: TaskLosses) -> Iterator[None]:
        """Undoes what the block did to the buffers if a fresh gradient is not finite (overflow under loss scaling)."""
        before = [(buffer, buffer.clone()) for buffer in self.buffers()] if step.scaled else []
        yield
        if before and not gradients_finite(step):
            for buffer, old in before:
                buffer.copy_(old)

    def due(self, every: int) -> bool:
        """Whether this batch is one of every `every`, the first included; never if 0."""
        return every > 0 and int(self.calls) % every == 0

    def looks(self, step: TaskLosses) -> bool:
        """Whether the gradients of this batch are looked at; one task alone has nothing to be compared with."""
        return len(step.tasks) > 1 and bool(step.shared) and self.due(self.diagnose_every)

    def inspect(self, matrix: Tensor, step: TaskLosses) -> None:
        """Writes the diagnostics of the unscaled Gramian [k, k], if due; nothing for an overflow of a loss scaler.

        Raises:
            NumericsError: a gradient is not finite, and no loss scaler is at work.
        """
        self.diagnostics = {}
        if finite(matrix, step) and self.looks(step):
            self.diagnostics = diagnose(matrix, step.tasks)


class LossWeighting(Weighting):
    """Weights the losses and takes one plain backward: heads and shared parameters scale alike."""

    @abstractmethod
    def weights(self, values: Tensor, tasks: Sequence[str], epoch: int) -> Tensor:
        """Losses [k] float64 (CPU) of the present `tasks` -> their weights [k] without graph.

        Called once per batch; updates the state. Weights sum to k when all weigh the same.
        """

    def backward(self, step: TaskLosses) -> dict[str, Tensor]:
        with self.transaction(step):
            self.diagnostics = {}
            if self.looks(step):
                losses = [loss * step.factor for loss in step.losses.values()]
                self.inspect(parameter_gramian(losses, step), step)
            weights = self.step_weights(step)
            total = sum(w * loss for w, loss in zip(weights.tolist(), step.losses.values(), strict=True))
            if step.auxiliary is not None:
                total = total + step.auxiliary
            assert isinstance(total, Tensor)
            accumulate_gradients(total * step.factor, step)
            self.calls += 1
        return dict(zip(step.tasks, weights.float(), strict=True))

    def step_weights(self, step: TaskLosses) -> Tensor:
        """The weights [k] float64 of this step; updates the state, and the gradients of what the weighting learns."""
        values = torch.stack(list(step.values.values())).detach().cpu().double()
        with record_function("weights"):
            weights = self.weights(values, step.tasks, step.epoch)
        self.learn(values, step.tasks, float(step.factor))
        return weights

    def learn(self, values: Tensor, tasks: Sequence[str], factor: float) -> None:
        """Adds `factor` times their gradient to the weighting's own parameters.

        It is a function of the global losses [k], so every rank comes to the same without talking.
        """


def reduced_gramian(rows: Sequence[Row], like: Sequence[Tensor]) -> Tensor:
    """[K, K] float64: the Gramian of the rows summed over ranks; packs the rows where that is quicker."""
    if like and (distributed() or like[0].device.type == "cuda"):
        packed(rows, like)
    return gramian(rows)


def parameter_gramian(losses: Sequence[Tensor], step: TaskLosses) -> Tensor:
    """The Gramian [k, k] of the shared parameters' gradients of scaled losses, unscaled; the graph is kept."""
    rows = loss_rows(losses, step.shared, retain_graph=True)
    return reduced_gramian(rows, step.shared) / float(step.factor) ** 2


def feature_gramian(losses: Sequence[Tensor], step: TaskLosses) -> Tensor:
    """The Gramian [k, k] of the gradients of scaled losses at `step.representation`, unscaled; the graph is kept."""
    ends = [tensor for tensor in step.representation if tensor.requires_grad]
    rows, _ = feature_rows(losses, ends, [], retain_graph=True)
    return summed(gramian(rows), step) / float(step.factor) ** 2


def summed(matrix: Tensor, step: TaskLosses) -> Tensor:
    """A Gramian of features summed over the ranks, each of which holds those of its own images."""
    if not distributed():
        return matrix
    on_device = matrix.to(step.shared[0].device)
    torch.distributed.all_reduce(on_device)
    return on_device.cpu()


def accumulate_gradients(loss: Tensor, step: TaskLosses) -> None:
    """One backward of `loss` into `.grad`; under several ranks the new gradients are summed over them first."""
    if not distributed():
        torch.autograd.backward(loss)
        return
    parameters = [*step.shared, *step.trained]
    add_reduced(parameters, fresh_row(parameters, [loss] if loss.requires_grad else [], [None]))


def add_reduced(parameters: Sequence[nn.Parameter], row: Row) -> None:
    """Adds a row, summed over the ranks, to `.grad`; what no rank reaches keeps its `.grad` (None stays None)."""
    if distributed() and row.flat is None and parameters:
        packed([row], parameters)
    add_to_grad(parameters, row)


def gradients_finite(step: TaskLosses) -> bool:
    """Whether the gradients of all parameters in `step` are finite."""
    gradients = [p.grad for p in (*step.shared, *step.trained) if p.grad is not None]
    return not gradients or bool(torch.stack(torch._foreach_norm(gradients)).isfinite().all())


def finite(matrix: Tensor, step: TaskLosses) -> bool:
    """Whether a Gramian [k, k] is finite; False only under loss scaling.

    Raises:
        NumericsError: it is not, and no loss scaler is at work; names the first task at fault.
    """
    if bool(matrix.isfinite().all()):
        return True
    if step.scaled:
        return False
    task = next((t for t, ok in zip(step.tasks, matrix.diagonal().isfinite().tolist(), strict=True) if not ok), "?")
    raise not_finite(f"the gradient of {task}", step.step, step.ids)


def refuse(key: str, found: object, allowed: str) -> ConfigError:
    """The error for a key of the weighting that contradicts another or the network."""
    return ConfigError(f"weighting.{key}={found}: {allowed}")
