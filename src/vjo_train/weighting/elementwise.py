"""The base of methods that need the task gradients element by element, not their dot products alone."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from vjo_train.weighting.base import TaskLosses, Weighting, accumulate_gradients, add_reduced, finite
from vjo_train.weighting.graph import check_shared
from vjo_train.weighting.jacobian import Row, combine, gramian, loss_rows, packed


class ElementwiseWeighting(Weighting):
    """Combines the K gradients of the shared parameters element by element; `at=parameters` only.

    Overflow under loss scaling: the shared gradients are made NaN, no state changes, the weights are logged as 1.

    State per element, a [K, P] buffer, is empty until `prepare` says what P is, or the first batch does. It lies on the
    parameters' device, and is not needed where a network is only used.
    """

    per_element: ClassVar[tuple[str, ...]] = ()
    """The names of the buffers with state per element."""
    weights_heads: ClassVar[bool] = False
    """Whether heads are weighted like the shared parameters."""
    log_losses: ClassVar[bool] = False
    """Whether log L_k takes the place of L_k, for heads and shared parameters."""

    @abstractmethod
    def merge(self, rows: list[Tensor], gramian: Tensor, tasks: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Gradients -> their combination and the weights; updates the state.

        Args:
            rows: k tensors [P], loss scaling divided out; may be overwritten.
            gramian: [k, k] float64 on the CPU, finite.
            tasks: the names of the k present tasks.

        Returns:
            The combined gradient [P], and a weight per task [k] float64 (CPU) for the log.
        """

    def backward(self, step: TaskLosses) -> dict[str, Tensor]:
        factor = float(step.factor)
        count, parameters = len(step.shared), [*step.shared, *step.trained]
        losses = [
            loss * step.factor / (value.clamp(min=1e-12) if self.log_losses else 1)
            for loss, value in zip(step.losses.values(), step.values.values(), strict=True)
        ]
        rows = loss_rows(losses, parameters, retain_graph=step.auxiliary is not None)
        shared, own = [row.cut(slice(count)) for row in rows], [row.cut(slice(count, None)) for row in rows]
        packed(shared, step.shared)
        matrix = gramian(shared) / factor**2
        self.inspect(matrix, step)
        flats = [row.flat for row in shared if row.flat is not None]
        weights = torch.ones(len(shared), dtype=torch.float64)
        if finite(matrix, step):
            for flat in flats:
                flat.div_(factor)
            merged, weights = self.merge(flats, matrix, step.tasks)
            merged.mul_(factor)
            self.calls += 1
        else:
            merged = flats[0].fill_(math.nan)
        add_reduced(step.shared, _views(merged, shared))
        add_reduced(step.trained, combine(own, weights.tolist() if self.weights_heads else [1.0] * len(own)))
        if step.auxiliary is not None:
            accumulate_gradients(step.auxiliary * step.factor, step)
        return dict(zip(step.tasks, weights.float(), strict=True))

    def prepare(self, shared: Sequence[nn.Parameter]) -> None:
        """Makes room for the state per element, so that it can be averaged and loaded like the rest."""
        check_shared(type(self).__name__, self.tasks, shared)
        count = sum(p.numel() for p in shared)
        for name in self.per_element:
            setattr(self, name, shared[0].new_zeros(len(self.tasks), count, dtype=torch.float32, requires_grad=False))

    def sized(self, name: str, like: Tensor) -> Tensor:
        """The [K, P] buffer `name` on the device of `like` [P]; zeros if it was not there yet."""
        buffer: Tensor = getattr(self, name)
        if buffer.numel() == 0:
            buffer = torch.zeros(len(self.tasks), like.numel(), dtype=like.dtype, device=like.device)
        elif buffer.device != like.device:
            buffer = buffer.to(like.device)
        setattr(self, name, buffer)
        return buffer


def _views(flat: Tensor, rows: Sequence[Row]) -> Row:
    """A flat gradient [P] as a row; its tensors are those that any of `rows` reaches."""
    tensors: list[Tensor | None] = []
    for places in zip(*(row.tensors for row in rows), strict=True):
        known = next((t for t in places if t is not None), None)
        tensors.append(None if known is None else flat.as_strided(known.shape, known.stride(), known.storage_offset()))
    return Row(tensors, flat)
