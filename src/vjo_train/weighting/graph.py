"""What a tensor depends on, read from the graph of autograd without running it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn

from vjo_train.errors import ConfigError

Place: TypeAlias = tuple[torch.autograd.graph.Node, int]
"""Where a tensor left the graph: the node that made it, and which of the node's outputs it is."""


def place(tensor: Tensor) -> Place:
    """Where `tensor`, which has a graph, was made."""
    edge = torch.autograd.graph.get_gradient_edge(tensor)
    return edge.node, edge.output_nr


def upstream(start: Sequence[Tensor], stop: Iterable[Place] = ()) -> tuple[set[Place], set[int]]:
    """Everything that `start` depends on, without looking past the places in `stop`.

    Returns:
        The places that were met (the ones in `stop` included, those of `start` only if met on the way), and the ids
        of the leaf tensors among them.
    """
    barrier = set(stop)
    seen: set[Place] = set()
    leaves: set[int] = set()
    visited: set[torch.autograd.graph.Node] = set()
    nodes = [place(tensor)[0] for tensor in start]
    while nodes:
        node = nodes.pop()
        if node in visited:
            continue
        visited.add(node)
        variable = getattr(node, "variable", None)
        if isinstance(variable, Tensor):
            leaves.add(id(variable))
        for parent, output in node.next_functions:
            if parent is None or (parent, output) in seen:
                continue
            seen.add((parent, output))
            if (parent, output) not in barrier:
                nodes.append(parent)
    return seen, leaves


def check_cut(losses: dict[str, Tensor], representation: Sequence[Tensor], shared: Sequence[Tensor]) -> None:
    """Checks that the losses reach the shared parameters only through `representation`, none inside another.

    Raises:
        ValueError: where they do not; gradients at the representation would then be wrong without a sign of it.
    """
    ends = [place(tensor) for tensor in representation]
    if not ends:
        raise ValueError("the representation is empty")
    parameters = {id(p) for p in shared}
    for tensor in representation:
        below, _ = upstream([tensor])
        if any(end in below for end in ends):
            raise ValueError("one tensor of the representation depends on another; give the heads views of their own")
    for task, loss in losses.items():
        if not loss.requires_grad:
            continue
        _, leaves = upstream([loss], stop=ends)
        if leaves & parameters:
            raise ValueError(f"the loss of {task} reaches shared parameters past the representation")


def last_weight(features: Sequence[Sequence[Tensor]], shared: Sequence[Tensor]) -> list[bool]:
    """For each of `shared`, whether it is a weight (two or more dimensions) that every list of features depends on."""
    common: set[int] | None = None
    for tensors in features:
        _, leaves = upstream(tensors)
        common = leaves if common is None else common & leaves
    return [p.ndim >= 2 and common is not None and id(p) in common for p in shared]


def check_shared(name: str, tasks: Sequence[str], shared: Sequence[nn.Parameter]) -> None:
    """Looks whether there is something whose task gradients can be compared.

    Args:
        name: of the weighting, for the message.
        tasks: of the weighting.
        shared: what several of them train.

    Raises:
        ConfigError: there are several tasks, and nothing.
    """
    if len(tasks) > 1 and not shared:
        raise ConfigError(
            f"weighting: found {name}, which compares the gradients of what tasks share, but nothing of it is trained "
            "(backbone.frozen_stages, sharing); weighting=equal does the same then."
        )
