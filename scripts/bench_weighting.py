"""Weightings against each other, against the floor written plainly in PyTorch, and against TorchJD.

A step is forward, task gradients, weighting and optimizer, on ResNet-18 + FPN with classification and detection at
batch 4 and 256 px by default. The learning rate is next to nothing, so that all sides meet the same gradients; the
figure beside the seconds is the norm of the shared parameters' gradient. LibMTL is left for later: it does not import
beside today's torchvision, so its weighting modules have to be loaded by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from omegaconf import DictConfig
from torch import Tensor

from bench_setup import autocast, config, device, draw
from bench_sides import Aim, Section, now
from vjo_train import build
from vjo_train.module import MultiTaskModule
from vjo_train.types import Batch
from vjo_train.weighting.base import TaskLosses, Weighting
from vjo_train.weighting.equal import EqualWeighting
from vjo_train.weighting.pcgrad import PCGrad
from vjo_train.weighting.upgrad import UPGrad

Backward = Callable[[TaskLosses], object]
"""Fills `.grad` of all parameters."""


def section(overrides: Sequence[str], folder: Path, steps: int) -> Section:
    """Compares seconds per step over `steps` steps a visit; a multiple of 4 shows `every=4` at its true mean."""
    size = ["dataset.size=256", "dataset.batch_size=4", "trainer.channels_last=true"]
    cfg = config([*size, "optimizer=sgd", "optimizer.lr=1e-12", *overrides], folder, 1)
    batch = draw(cfg, folder, 1)[0].to(device(cfg))
    module = build.model(cfg).to(device(cfg)).train()
    optimizer = module._optimizer.build(module)
    tasks = module.tasks
    weightings: dict[str, Weighting] = {
        "equal": EqualWeighting(tasks=tasks),
        "pcgrad": PCGrad(tasks=tasks),
        "upgrad": UPGrad(tasks=tasks),
        "pcgrad at=features": PCGrad(tasks=tasks, at="features"),
        "pcgrad every=4": PCGrad(tasks=tasks, every=4),
    }
    backwards: dict[str, Backward] = {name: weighting.backward for name, weighting in weightings.items()}
    backwards |= {
        "pcgrad, floor": floor,
        "pcgrad, TorchJD": partial(torchjd, chunk=None),
        "pcgrad, TorchJD without vmap": partial(torchjd, chunk=1),
    }

    def visit(backward: Backward) -> tuple[float, float]:
        start = now()
        for _ in range(steps):
            optimizer.zero_grad()
            backward(losses(cfg, module, batch))
            optimizer.step()
        seconds = (now() - start) / steps
        return seconds, float(torch.cat([p.grad.reshape(-1) for p in module.sharing.shared_parameters()]).norm())

    return Section(
        unit="step",
        result="norm of the shared gradient",
        sides={name: partial(visit, backward) for name, backward in backwards.items()},
        aims=[
            Aim("pcgrad", "pcgrad, floor", 1.04),
            Aim("pcgrad", "pcgrad, TorchJD", 0.87),
            Aim("pcgrad", "pcgrad, TorchJD without vmap", 0.87),
            Aim("pcgrad at=features", "equal", 1.1),
        ],
        settings={"steps": steps, "overrides": [*size, *overrides], "tasks": list(tasks)},
    )


def losses(cfg: DictConfig, module: MultiTaskModule, batch: Batch) -> TaskLosses:
    """A forward pass, as the training step does it."""
    heads = {task: module.head(task) for task in module.tasks}
    with autocast(cfg):
        images = ((batch.images - module.mean) / module.std).contiguous(memory_format=module.memory_format)
        shared = module.sharing(images, module.tasks)
        found: dict[str, Tensor] = {}
        for task, head in heads.items():
            known = torch.tensor([head.labelled(target) for target in batch.targets], device=images.device)
            found[task] = (head.loss(head(shared.tasks[task]), batch.targets) * known).sum() / known.sum()
    return TaskLosses(
        losses=found,
        values={task: loss.detach() for task, loss in found.items()},
        factor=torch.ones((), device=images.device),
        shared=module.sharing.shared_parameters(),
        own={task: list(head.parameters()) for task, head in heads.items()},
        representation=shared.representation,
        scaled=False,
    )


def floor(step: TaskLosses) -> None:
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


def torchjd(step: TaskLosses, chunk: int | None) -> None:
    """TorchJD's PCGrad; `chunk=1` takes the tasks one after the other instead of by vmap."""
    from torchjd.aggregation import PCGrad as TheirPCGrad
    from torchjd.autojac import jac_to_grad, mtl_backward

    mtl_backward(
        list(step.losses.values()),
        features=step.representation,
        tasks_params=list(step.own.values()),
        shared_params=step.shared,
        parallel_chunk_size=chunk,
    )
    jac_to_grad(step.shared, TheirPCGrad())
