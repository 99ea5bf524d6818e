"""The same update by others' code: written plainly in PyTorch, by TorchJD, by LibMTL."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from vjo_train.weighting.base import TaskLosses


@dataclass
class Step(TaskLosses):
    """A step, and what others want to know of it."""

    inputs: list[Tensor] = field(default_factory=list)
    """What the heads read, each tensor by itself: all shared parameters lie before them."""


Backward = Callable[[Step], object]
"""Fills `.grad` of all parameters."""

TORCHJD = {
    "pcgrad": "PCGrad",
    "gradvac": "GradVac",
    "cagrad": "CAGrad",
    "mgda": "MGDA",
    "imtl_g": "IMTLG",
    "nash": "NashMTL",
    "fairgrad": "FairGrad",
    "aligned": "AlignedMTL",
    "upgrad": "UPGrad",
    "dualproj": "DualProj",
    "config": "ConFIG",
    "graddrop": "GradDrop",
}
"""Our name -> the class in `torchjd.aggregation`."""
TORCHJD_NEEDS: dict[str, dict[str, Any]] = {
    "gradvac": {"beta": 0.01},
    "cagrad": {"c": 0.4},
    "nash": {"n_tasks": 2},
    "fairgrad": {"alpha": 2.0},
}

LIBMTL = {"pcgrad": "PCGrad", "gradvac": "GradVac", "mgda": "MGDA"}
"""Our name -> the class in `LibMTL.weighting`. Left out: its IMTL does both halves of the method, its CAGrad
has three tasks written into it."""
LIBMTL_NEEDS: dict[str, dict[str, Any]] = {
    "gradvac": {"beta": 0.01},
    "mgda": {"mgda_gn": "none"},
}


def floor(step: Step) -> None:
    """PCGrad as one writes it down: each task's gradients, their products, their weighted sum."""
    rows, last = [], len(step.losses) - 1
    for k, (task, loss) in enumerate(step.losses.items()):
        own = step.own[task]
        found = torch.autograd.grad(loss, [*step.shared, *own], retain_graph=k < last, allow_unused=True)
        rows.append([torch.zeros_like(p) if g is None else g for p, g in zip(step.shared, found, strict=False)])
        for parameter, gradient in zip(own, found[len(step.shared) :], strict=True):
            parameter.grad = gradient
    products = [[0.0] * len(rows) for _ in rows]
    for i, first in enumerate(rows):
        for j in range(i + 1):
            products[i][j] = products[j][i] = float(
                torch.stack([(a * b).sum() for a, b in zip(first, rows[j], strict=True)]).sum()
            )
    total = [0.0] * len(rows)
    for i in range(len(rows)):
        part = [float(i == k) for k in range(len(rows))]
        for j in range(len(rows)):
            product = sum(w * products[j][k] for k, w in enumerate(part))
            if j != i and product < 0:
                part[j] -= product / products[j][j]
        total = [a + b for a, b in zip(total, part, strict=True)]
    for parameter, *gradients in zip(step.shared, *rows, strict=True):
        combined = gradients[0] * total[0]
        for gradient, weight in zip(gradients[1:], total[1:], strict=True):
            combined.add_(gradient, alpha=weight)
        parameter.grad = combined


def torchjd(method: str, chunk: int | None = None) -> Backward:
    """TorchJD's `method`; `chunk=1` takes the tasks one after the other instead of by vmap."""
    aggregation = importlib.import_module("torchjd.aggregation")
    aggregator = getattr(aggregation, TORCHJD[method])(**TORCHJD_NEEDS.get(method, {}))
    return partial(_torchjd, aggregator=aggregator, chunk=chunk)


def _torchjd(step: Step, aggregator: Any, chunk: int | None) -> None:
    from torchjd.autojac import jac_to_grad, mtl_backward

    mtl_backward(
        list(step.losses.values()),
        features=step.inputs,
        tasks_params=list(step.own.values()),
        shared_params=step.shared,
        parallel_chunk_size=chunk,
    )
    jac_to_grad(step.shared, aggregator)


def libmtl_version() -> str | None:
    """The version of LibMTL if it is there (`pip install --no-deps LibMTL==1.1.5`), else None."""
    try:
        return metadata.version("LibMTL")
    except metadata.PackageNotFoundError:
        return None


def libmtl(method: str) -> Backward:
    """LibMTL's `method`, set up as its trainer does it."""
    name = LIBMTL[method]
    weighting = getattr(_libmtl_module(name), name)()
    weighting.rep_grad = False
    return partial(_libmtl, weighting=weighting, options=LIBMTL_NEEDS.get(method, {}))


def _libmtl(step: Step, weighting: Any, options: dict[str, Any]) -> None:
    losses, shared = list(step.losses.values()), step.shared
    for parameter in shared:  # it writes into `.grad`, as PyTorch left it behind when LibMTL was written
        parameter.grad = torch.zeros_like(parameter)
    weighting.task_name, weighting.task_num, weighting.device = list(step.tasks), len(losses), losses[0].device
    weighting.get_share_params = lambda: iter(shared)
    weighting.zero_grad_share_params = lambda: torch._foreach_zero_([p.grad for p in shared])
    # Its own asks for memory in the contiguous order.
    weighting._grad2vec = lambda: torch.cat([p.grad.reshape(-1) for p in shared if p.grad is not None])
    weighting.backward(losses, **options)


def _libmtl_module(name: str) -> ModuleType:
    """One file of `LibMTL.weighting`, without its packages, which do not import beside today's torchvision."""
    folder = Path(str(metadata.distribution("LibMTL").locate_file("LibMTL")))
    for package, path in (("LibMTL", folder), ("LibMTL.weighting", folder / "weighting")):
        if package not in sys.modules:
            empty = ModuleType(package)
            empty.__path__ = [str(path)]
            sys.modules[package] = empty
    return importlib.import_module(f"LibMTL.weighting.{name}")
