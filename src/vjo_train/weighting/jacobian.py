"""Task gradients as rows of the Jacobian: taking them, their Gramian, their weighted sum.

A row holds one gradient per tensor, None where the task does not reach it. On a GPU and under several ranks a row's
gradients are views of one flat tensor, so that one kernel or one all-reduce treats them all; on one CPU process the
copy would cost more than it saves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass
class Row:
    """One task's gradient."""

    tensors: list[Tensor | None]
    flat: Tensor | None = None
    """[P]: the memory of all `tensors`, zero where a tensor is None."""

    @property
    def parts(self) -> list[Tensor | None]:
        """The fewest tensors that hold the whole row."""
        return self.tensors if self.flat is None else [self.flat]

    def cut(self, places: slice) -> Row:
        """The row of some of the tensors only."""
        return Row(self.tensors[places])


def fresh_row(
    parameters: Sequence[nn.Parameter],
    tensors: Sequence[Tensor],
    gradients: Sequence[Tensor | None],
    retain_graph: bool = False,
) -> Row:
    """The gradients of `parameters` for given `gradients` of `tensors`; `.grad` stays as it is.

    They go through `.grad` rather than `autograd.grad`, which hands out tensors that may share memory or be expanded:
    this way each owns its memory, in the parameter's memory format, without a copy.
    """
    kept = [p.grad for p in parameters]
    for p in parameters:
        p.grad = None
    if tensors and parameters:
        torch.autograd.backward(list(tensors), list(gradients), retain_graph=retain_graph, inputs=list(parameters))
    row = Row([p.grad for p in parameters])
    for p, grad in zip(parameters, kept, strict=True):
        p.grad = grad
    return row


def loss_rows(losses: Sequence[Tensor], parameters: Sequence[nn.Parameter], retain_graph: bool = False) -> list[Row]:
    """One row per loss; a loss without graph (no labelled image on this rank) gives a row of None."""
    last = max((k for k, loss in enumerate(losses) if loss.requires_grad), default=-1)
    return [
        fresh_row(parameters, [loss] if loss.requires_grad else [], [None], retain_graph or k != last)
        for k, loss in enumerate(losses)
    ]


def feature_rows(
    losses: Sequence[Tensor], ends: Sequence[Tensor], parameters: Sequence[nn.Parameter], retain_graph: bool
) -> tuple[list[Row], list[Row]]:
    """Each loss's gradients at the tensors `ends` of the graph, and those of `parameters`, which lie behind them."""
    at_ends, at_parameters = [], []
    wanted = [*ends, *parameters]
    last = max((k for k, loss in enumerate(losses) if loss.requires_grad), default=-1)
    for k, loss in enumerate(losses):
        found: Sequence[Tensor | None] = [None] * len(wanted)
        if loss.requires_grad:
            found = torch.autograd.grad(loss, wanted, retain_graph=retain_graph or k != last, allow_unused=True)
        at_ends.append(Row(list(found[: len(ends)])))
        at_parameters.append(Row(_owned(found[len(ends) :], parameters)))
    return at_ends, at_parameters


def _owned(gradients: Sequence[Tensor | None], parameters: Sequence[nn.Parameter]) -> list[Tensor | None]:
    """Copies the gradients that share memory or lie in memory otherwise than their parameter."""
    seen: set[int] = set()
    owned: list[Tensor | None] = []
    for gradient, parameter in zip(gradients, parameters, strict=True):
        if gradient is not None:
            if gradient.data_ptr() in seen or gradient.stride() != parameter.stride():
                gradient = torch.empty_like(parameter).copy_(gradient)
            seen.add(gradient.data_ptr())
        owned.append(gradient)
    return owned


def packed(rows: Sequence[Row], like: Sequence[Tensor]) -> None:
    """Makes each row's gradients views of one flat tensor, in the memory format of `like`; sums rows over the ranks.

    A tensor counts as reached by a task if any rank's loss of that task reaches it.
    """
    spread = distributed()
    reached = torch.tensor([[t is not None for t in row.tensors] for row in rows], dtype=torch.uint8)
    if spread:
        reached = reached.to(like[0].device)
        torch.distributed.all_reduce(reached, op=torch.distributed.ReduceOp.MAX)
    sizes = [t.numel() for t in like]
    for row, hit in zip(rows, reached.tolist(), strict=True):
        flat = torch.zeros(sum(sizes), dtype=like[0].dtype, device=like[0].device)
        views = [
            piece.as_strided(t.shape, dense_strides(t)) for piece, t in zip(torch.split(flat, sizes), like, strict=True)
        ]
        found = [(view, t) for view, t in zip(views, row.tensors, strict=True) if t is not None]
        if found:
            torch._foreach_copy_([view for view, _ in found], [t for _, t in found])
        if spread:
            torch.distributed.all_reduce(flat)
        row.flat = flat
        row.tensors = [view if h else None for view, h in zip(views, hit, strict=True)]


def dense_strides(tensor: Tensor) -> tuple[int, ...]:
    """The strides of a dense tensor of this shape, in this tensor's memory format."""
    return torch.empty_like(tensor, device="meta").stride()


def gramian(rows: Sequence[Row]) -> Tensor:
    """[K, K] float64 on the CPU: the dot products of the rows, in float32 or better; one wait for the device."""
    k = len(rows)
    products = [dot(rows[i], rows[j]) for i in range(k) for j in range(i, k)]
    upper = torch.stack([p.to(products[0].device) for p in products]).cpu()
    matrix = torch.zeros(k, k, dtype=torch.float64)
    i, j = torch.triu_indices(k, k)
    matrix[i, j] = upper
    matrix[j, i] = upper
    return matrix


def dot(a: Row, b: Row) -> Tensor:
    """The dot product of two rows over the tensors that both reach, a float64 scalar."""
    products = [_dot(x, y) for x, y in zip(a.parts, b.parts, strict=True) if x is not None and y is not None]
    if not products:
        return torch.zeros((), dtype=torch.float64)
    return torch.stack(products).double().sum()


def _dot(a: Tensor, b: Tensor) -> Tensor:
    if a.dtype in (torch.float16, torch.bfloat16):
        a, b = a.float(), b.float()
    if a.stride() == b.stride() and a.is_contiguous(memory_format=torch.channels_last) and not a.is_contiguous():
        # The order of the elements does not matter as long as both have the same: no copy.
        a, b = a.as_strided((a.numel(),), (1,)), b.as_strided((b.numel(),), (1,))
    return torch.dot(a.reshape(-1), b.reshape(-1))


def combine(rows: Sequence[Row], weights: Sequence[float]) -> Row:
    """sum_k w_k row_k, in the memory of the rows, which are used up. None where no row reaches a tensor."""
    first = rows[0]
    _scale([t for t in first.parts if t is not None], weights[0])
    for row, weight in zip(rows[1:], weights[1:], strict=True):
        pairs = [(a, b) for a, b in zip(first.parts, row.parts, strict=True) if a is not None and b is not None]
        if pairs:
            torch._foreach_add_([a for a, _ in pairs], [b for _, b in pairs], alpha=weight)
        for j, (mine, other) in enumerate(zip(first.tensors, row.tensors, strict=True)):
            if mine is None and other is not None:
                if first.flat is None:
                    _scale([other], weight)
                    first.tensors[j] = other
                else:
                    # The flat sum has it already: find the place by the other row's view.
                    first.tensors[j] = first.flat.as_strided(other.shape, other.stride(), other.storage_offset())
    return first


def combine_kept(rows: Sequence[Row], weights: Sequence[float]) -> Row:
    """sum_k w_k row_k in new memory: for rows whose tensors may share theirs."""
    total: list[Tensor | None] = [None] * len(rows[0].tensors)
    for row, weight in zip(rows, weights, strict=True):
        for j, tensor in enumerate(row.tensors):
            if tensor is not None:
                known = total[j]
                total[j] = tensor * weight if known is None else known.add_(tensor, alpha=weight)
    return Row(total)


def _scale(tensors: list[Tensor], weight: float) -> None:
    if tensors and weight != 1:
        torch._foreach_mul_(tensors, weight)


def add_to_grad(parameters: Sequence[nn.Parameter], row: Row) -> None:
    """Adds a row to `.grad`; what the row does not reach keeps its `.grad` (None stays None)."""
    old, new = [], []
    for parameter, gradient in zip(parameters, row.tensors, strict=True):
        if gradient is None:
            continue
        if parameter.grad is None:
            parameter.grad = gradient
        else:
            old.append(parameter.grad)
            new.append(gradient)
    if old:
        torch._foreach_add_(old, new)


def distributed() -> bool:
    """Whether more than one rank takes part in this training."""
    return (
        torch.distributed.is_available()
        and torch.distributed.is_initialized()
        and torch.distributed.get_world_size() > 1
    )
