"""`trainer.activation_checkpointing`: what lies between layers is computed again in backward instead of kept.

The parts are residual blocks and rows of layers (stems, towers, adapters): of each only the input is kept (Chen, Xu,
Zhang, Guestrin 2016, "Training Deep Nets with Sublinear Memory Cost"). Gradients are those without the key to the bit,
where the machine's own operations give the same result twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from vjo_train.heads.instance.base import MaskBranch
from vjo_train.sharing.mtan import StageAttention
from vjo_train.training.module import MultiTaskModule

WHOLE = (MaskBranch, StageAttention)
"""Modules of several steps that are computed again as one, though they are no row of layers."""


LAYERS = 3
"""The fewest layers in a row that are worth it: of a convolution and its activation little is kept anyway."""


def checkpoint_activations(module: MultiTaskModule) -> None:
    """Lets the parts of sharing and heads keep their inputs only, in place; no key of the state dict changes.

    Losses, decoding and evaluation stay as they are. A weighting that goes backward K times through the shared part
    computes its activations K times again.
    """
    for part in (module.sharing, *module.heads.values()):
        found = list(units(part))
        for row in part.modules():
            if _is_row(row) and not _layers_only(row) and any(_worth_it(run) for run in _runs(row)):
                row.__class__ = _under(LeafRuns, row)
        for unit in found:
            unit.__class__ = _under(Recomputed, unit)


def units(part: nn.Module) -> Iterator[nn.Module]:
    """The modules that are computed again as one: rows of single layers, and the blocks that rows are made of."""
    for child in part.children():
        if isinstance(child, WHOLE) or (_is_row(part) and _has_parts(child) and not _is_row(child)):
            yield child
        elif _is_row(child) and _layers_only(child):
            if _worth_it(list(child.children())):
                yield child
        else:
            yield from units(child)


class Recomputed(nn.Module):
    """Goes before a module's own class: its forward keeps its inputs alone, and is run again in backward."""

    def forward(self, *inputs: Tensor) -> Any:
        """As the module's own."""
        if not (self.training and torch.is_grad_enabled()):
            return super().forward(*inputs)
        return recomputed(super().forward, self.modules(), *inputs)


class LeafRuns(nn.Sequential):
    """Goes before the class of a row of layers and blocks: each run of single layers is computed again as one."""

    def forward(self, inputs: Tensor) -> Tensor:
        """As the row's own."""
        again = self.training and torch.is_grad_enabled()
        for run in _runs(self):
            layers = nn.Sequential(*run)
            inputs = recomputed(layers, run, inputs) if again and _worth_it(run) else layers(inputs)
        return inputs


def recomputed(function: Any, modules: Iterable[nn.Module], *inputs: Tensor) -> Any:
    """What `function` gives, whose graph keeps its inputs alone.

    In backward it is computed again, with the same random numbers, under the same autocast, and without that the
    BatchNorms among `modules` count the batch a second time.
    """
    again = _AsBefore([one for one in modules if isinstance(one, _BatchNorm) and one.training])
    return checkpoint(function, *inputs, use_reentrant=False, context_fn=lambda: (nullcontext(), again))


class _AsBefore:
    """A context in which BatchNorms do what they would have done now, but count batches into copies.

    It may be entered again: a graph may be gone through several times.
    """

    def __init__(self, norms: Sequence[_BatchNorm]) -> None:
        self._counting = [(norm, norm.track_running_stats) for norm in norms]
        self._kept: list[tuple[_BatchNorm, bool, dict[str, Tensor | None]]] = []

    def __enter__(self) -> None:
        self._kept = [(norm, norm.track_running_stats, dict(norm._buffers)) for norm, _ in self._counting]
        for norm, counts in self._counting:
            norm.track_running_stats = counts
            norm._buffers.update({name: None if b is None else b.clone() for name, b in norm._buffers.items()})

    def __exit__(self, *_: object) -> None:
        for norm, counts, buffers in self._kept:
            norm.track_running_stats = counts
            norm._buffers.update(buffers)
        self._kept = []


def _is_row(module: nn.Module) -> bool:
    return isinstance(module, nn.Sequential)


def _has_parts(module: nn.Module) -> bool:
    return next(module.children(), None) is not None


def _layers_only(row: nn.Module) -> bool:
    return not any(_has_parts(child) for child in row.children())


def _worth_it(run: Sequence[nn.Module]) -> bool:
    """Whether neighbours are computed again as one; not where the first would change the input that is kept."""
    return len(run) >= LAYERS and not _has_parts(run[0]) and not getattr(run[0], "inplace", False)


def _runs(row: nn.Module) -> list[list[nn.Module]]:
    """The children of a row, neighbours without parts together."""
    runs: list[list[nn.Module]] = []
    for child in row.children():
        if runs and not _has_parts(child) and not _has_parts(runs[-1][-1]):
            runs[-1].append(child)
        else:
            runs.append([child])
    return runs


def _under(mixin: type[nn.Module], module: nn.Module) -> type[nn.Module]:
    """The class of `module`, with `mixin` before it; the module stays an instance of its own class too."""
    own = type(module)
    return type(own.__name__, (mixin, own), {"__module__": own.__module__, "__doc__": own.__doc__})
