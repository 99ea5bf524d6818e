"""The engine under all gradient methods: K task gradients of the shared parameters, combined into one."""

from __future__ import annotations

import logging
import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Literal, Unpack

import torch
from annotated_types import Ge, Interval
from torch import Tensor, nn
from torch.profiler import record_function

from vjo_train.errors import ConfigError
from vjo_train.weighting.base import (
    LossWeighting,
    Options,
    TaskLosses,
    Weighting,
    accumulate_gradients,
    add_reduced,
    finite,
    parameter_gramian,
    reduced_gramian,
    refuse,
    summed,
)
from vjo_train.weighting.graph import check_cut, check_shared, last_weight
from vjo_train.weighting.jacobian import (
    Row,
    combine,
    combine_kept,
    distributed,
    feature_rows,
    fresh_row,
    gramian,
    loss_rows,
)

logger = logging.getLogger(__name__)


class GradientWeighting(Weighting):
    """Weights the task gradients of the shared parameters through their Gramian; each head gets its own gradient.

    The update is g = sum_k w_k g_k for the shared parameters, where g_k is the gradient of task k's loss and w comes
    from G_ij = <g_i, g_j>. Everything that only one task trains gets the plain gradient of its loss (times the inner
    loss weighting's weight, if there is one), so a head learns at the same rate as under `equal`.

    A head whose loss is split has parameters that several tasks train. They are shared parameters like the others, with
    `at=features` beside the features.

    A task that is absent from a batch has no row in G. Loss scaling is divided out of G; where it overflows, the
    shared gradients are made NaN (so that the scaler skips the step), no state changes and the weights are logged as 1.

    Args:
        tasks: the names of all heads.
        at: where the gradients are compared and combined. `parameters`: the exact method. `features`: gradients at the
            tensors where the shared features end, then one backward from their combination: about the price of
            `equal`, and another method, which does not see how the backbone maps features to parameters.
            `last_shared`: only G is taken, from the last weight that all present tasks train; then one weighted
            backward.
        every: compute the weights on every so many batches and reuse them in between, at the price of `equal`. Which
            batches depends on the number of batches since the start alone, unless a task turns up that has no weight
            yet: then they are computed at once.
        sample: the share of the images whose gradients make G, by a second forward; the whole batch then takes one
            weighted backward. A task without labelled images in the sample keeps its last weight (1 before it has one).
        losses: a loss weighting whose weights multiply the losses before their gradients are taken; null for none.

    Raises:
        ConfigError: `at=features` or `last_shared` with `sample` below 1.
    """

    weights_heads: ClassVar[bool] = False
    """Whether heads are weighted like the shared parameters (a loss weighting that needs gradients)."""
    reused: Tensor
    """[K] float64: the last weights, NaN for a task that has none yet."""

    def __init__(
        self,
        *,
        at: Literal["parameters", "features", "last_shared"] = "parameters",
        every: Annotated[int, Ge(1)] = 1,
        sample: Annotated[float, Interval(gt=0, le=1)] = 1.0,
        losses: LossWeighting | str | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(**options)
        if sample < 1 and at != "parameters":
            raise refuse("sample", sample, f"samples the gradients at=parameters only, not at={at}.")
        if isinstance(losses, str):
            raise refuse("losses", losses, "name a loss weighting in the config, or hand over the object.")
        self.at, self.every, self.sample, self.losses = at, every, sample, losses
        self.calibrates = 0 if losses is None else losses.calibrates
        self.register_buffer("reused", torch.full((len(self.tasks),), float("nan"), dtype=torch.float64))
        self._checked: set[tuple[str, ...]] = set()

    @abstractmethod
    def weights(self, gramian: Tensor, values: Tensor, tasks: Sequence[str]) -> Tensor:
        """The weights [k] of the present `tasks`, from their Gramian G and losses; updates the state.

        Args:
            gramian: G [k, k] float64 on the CPU, finite, loss scaling divided out.
            values: [k] float64 on the CPU, the losses of the global batch (times the inner weights).
            tasks: their names.
        """

    def prepare(self, shared: Sequence[nn.Parameter]) -> None:
        check_shared(type(self).__name__, self.tasks, shared)

    def backward(self, step: TaskLosses) -> dict[str, Tensor]:
        if self.losses is None:
            weights = self._backward(step, torch.ones(len(step.tasks), dtype=torch.float64))
        else:
            with self.losses.transaction(step):
                inner = self.losses.step_weights(step)
                self.losses.calls += 1
                outer = self._backward(step, inner)
                self.diagnostics |= self._update_norms(step.tasks, outer)
                weights = inner * outer
        return dict(zip(step.tasks, weights.float(), strict=True))

    def _update_norms(self, tasks: Sequence[str], outer: Tensor) -> dict[str, float]:
        """The lengths of the weighted gradients, where they are looked at: the inner weights are in the norms."""
        norms = [self.diagnostics.get(f"gradient_norm/{task}") for task in tasks]
        pairs = zip(tasks, norms, outer.tolist(), strict=True)
        return {f"update_norm/{task}": norm * abs(weight) for task, norm, weight in pairs if norm is not None}

    def _backward(self, step: TaskLosses, inner: Tensor) -> Tensor:
        """Gradients into `.grad` under given weights [k] of the losses; returns the shared gradients' weights [k]."""
        losses = [w * step.factor * loss for w, loss in zip(inner.tolist(), step.losses.values(), strict=True)]
        values = torch.stack(list(step.values.values())).detach().cpu().double() * inner
        known = bool(self.reused[self.index(step.tasks)].isfinite().all())
        update = self.due(self.every) or not known
        if update and self.at == "parameters" and self.sample == 1:
            return self._from_parameters(step, losses, values)
        self.diagnostics = {}
        if self.looks(step):
            self.inspect(parameter_gramian(losses, step), step)
        return self._through_features(step, losses, values, inner, update)

    def _from_parameters(self, step: TaskLosses, losses: list[Tensor], values: Tensor) -> Tensor:
        count = len(step.shared)
        parameters = [*step.shared, *step.trained]
        rows = loss_rows(losses, parameters, retain_graph=step.auxiliary is not None)
        shared, own = [row.cut(slice(count)) for row in rows], [row.cut(slice(count, None)) for row in rows]
        del rows
        matrix = reduced_gramian(shared, step.shared) / float(step.factor) ** 2
        self.inspect(matrix, step)
        weights, applied = self._decide(matrix, values, step)
        add_reduced(step.shared, combine(shared, applied))
        add_reduced(step.trained, combine(own, applied if self.weights_heads else [1.0] * len(own)))
        if step.auxiliary is not None:
            accumulate_gradients(step.auxiliary * step.factor, step)
        return weights

    def _through_features(
        self, step: TaskLosses, losses: list[Tensor], values: Tensor, inner: Tensor, update: bool
    ) -> Tensor:
        """Down the heads to the representation, task by task; then once through the shared part."""
        ends = [tensor for tensor in step.representation if tensor.requires_grad]
        self._check(step, losses, ends)
        rows, others = feature_rows(losses, ends, [*step.behind, *step.trained], retain_graph=True)
        count = len(step.behind)
        behind, own = [row.cut(slice(count)) for row in others], [row.cut(slice(count, None)) for row in others]
        if update:
            weights, applied = self._updated(step, values, inner, rows, behind, ends)
            self._down(step, rows, behind, own, ends, applied)
            return weights
        with self.transaction(step):
            weights = self.reused[self.index(step.tasks)]
            self._down(step, rows, behind, own, ends, weights.tolist())
            self.calls += 1
        return weights

    def _updated(
        self, step: TaskLosses, values: Tensor, inner: Tensor, rows: list[Row], behind: list[Row], ends: list[Tensor]
    ) -> tuple[Tensor, list[float]]:
        square = float(step.factor) ** 2
        if self.at == "features":
            matrix = summed(gramian(rows), step)
            if step.behind:
                matrix = matrix + reduced_gramian(behind, step.behind)
            return self._decide(matrix / square, values, step)
        if self.at == "last_shared":
            return self._decide(_last_gramian(rows, ends, step) / square, values, step)
        return self._from_sample(step, values, inner)

    def _from_sample(self, step: TaskLosses, values: Tensor, inner: Tensor) -> tuple[Tensor, list[float]]:
        if step.resample is None:
            raise refuse("sample", self.sample, "this training step offers no second forward.")
        known = step.resample(self.sample)
        tasks = [task for task in step.tasks if task in known]
        part = replace(step, losses={t: known[t] for t in tasks}, values={t: step.values[t] for t in tasks})
        places = [step.tasks.index(task) for task in tasks]
        weighted = zip(inner[places].tolist(), tasks, strict=True)
        matrix = parameter_gramian([w * step.factor * known[task] for w, task in weighted], part)
        found, applied = self._decide(matrix, values[places], part)
        weights = self.reused[self.index(step.tasks)].nan_to_num(nan=1.0)
        if torch.tensor(applied).isnan().any():
            return torch.ones_like(weights), [math.nan] * len(weights)
        weights[places] = found
        self.reused[self.index(step.tasks)] = weights
        return weights, weights.tolist()

    def _decide(self, matrix: Tensor, values: Tensor, step: TaskLosses) -> tuple[Tensor, list[float]]:
        """The weights to log and those to apply, from an unscaled Gramian; updates the state unless it overflowed."""
        if not finite(matrix, step):
            return torch.ones_like(values), [math.nan] * len(values)
        with record_function("weights"):
            weights = self.weights(matrix, values, step.tasks)
        self.reused[self.index(step.tasks)] = weights
        self.calls += 1
        return weights, weights.tolist()

    def _down(
        self,
        step: TaskLosses,
        rows: list[Row],
        behind: list[Row],
        own: list[Row],
        ends: list[Tensor],
        applied: list[float],
    ) -> None:
        pairs = [(e, g) for e, g in zip(ends, combine_kept(rows, applied).tensors, strict=True) if g is not None]
        tensors: list[Tensor] = [e for e, _ in pairs]
        gradients: list[Tensor | None] = [g for _, g in pairs]
        if step.auxiliary is not None and step.auxiliary.requires_grad:
            tensors.append(step.auxiliary * step.factor)
            gradients.append(None)
        if distributed():
            parameters = [*step.shared, *step.trained]
            add_reduced(parameters, fresh_row(parameters, tensors, gradients))
        elif tensors:
            torch.autograd.backward(tensors, gradients)
        add_reduced(step.behind, combine(behind, applied))
        add_reduced(step.trained, combine(own, applied if self.weights_heads else [1.0] * len(own)))

    def _check(self, step: TaskLosses, losses: list[Tensor], ends: list[Tensor]) -> None:
        """Once per set of tasks: that the representation parts heads from shared parameters."""
        if step.tasks in self._checked:
            return
        try:
            shared = step.shared[: len(step.shared) - len(step.behind)]
            check_cut(dict(zip(step.tasks, losses, strict=True)), ends, shared)
        except ValueError as error:
            raise ConfigError(
                f"weighting: at={self.at}, every={self.every}, sample={self.sample} takes gradients at the shared"
                f" features, which this way of sharing does not allow: {error}. Use at=parameters, every=1, sample=1."
            ) from error
        self._checked.add(step.tasks)

    def settle(self, residual: float, tolerance: float, fallback: str) -> None:
        """Counts and logs a solver's failure, with what is done instead."""
        if not residual <= tolerance:
            self.unsolved += 1
            logger.warning(
                "%s: not solved at batch %d of the weighting (residual %.2e > %.0e); %s. Failures so far: %d.",
                type(self).__name__,
                int(self.calls),
                residual,
                tolerance,
                fallback,
                int(self.unsolved),
            )


def _last_gramian(rows: list[Row], ends: list[Tensor], step: TaskLosses) -> Tensor:
    """[k, k]: the Gramian of the gradients of the last weight that every present task trains, from those at `ends`."""
    reached = [[e for e, g in zip(ends, row.tensors, strict=True) if g is not None] for row in rows]
    mask = torch.tensor(last_weight([tensors for tensors in reached if tensors], step.shared), dtype=torch.uint8)
    if distributed():
        mask = mask.to(step.shared[0].device)
        torch.distributed.all_reduce(mask, op=torch.distributed.ReduceOp.MIN)
    common = mask.nonzero()
    if not len(common):
        raise refuse("at", "last_shared", "no weight is trained by all tasks of the batch.")
    weight = step.shared[int(common[-1])]
    found = []
    for row, tensors in zip(rows, reached, strict=True):
        gradients = [g for g in row.tensors if g is not None]
        found.append(fresh_row([weight], tensors, gradients, retain_graph=True))
    return reduced_gramian(found, [weight])


class EngineOptions(Options, total=False):
    """What every user of the engine can be told; see `GradientWeighting`."""

    every: Annotated[int, Ge(1)]
    sample: Annotated[float, Interval(gt=0, le=1)]
    losses: LossWeighting | str | None


class GradientOptions(EngineOptions, total=False):
    """What every gradient method can be told; see `GradientWeighting`."""

    at: Literal["parameters", "features", "last_shared"]
