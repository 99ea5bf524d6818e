"""Weightings against each other, against the floor written plainly in PyTorch, and against TorchJD and LibMTL.

A step is forward, task gradients, weighting and optimizer, on ResNet-18 + FPN with two to four heads at batch 4 and
256 px by default. The learning rate is next to nothing, so that all sides meet the same gradients; the figure beside
the seconds is the norm of the shared parameters' gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor

from bench.peers import LIBMTL, TORCHJD, Backward, Step, floor, libmtl, libmtl_version, torchjd
from bench.setup import autocast, config, device, draw
from bench.sides import Aim, Section, now
from vjo_train.config import build
from vjo_train.training.module import MultiTaskModule
from vjo_train.types import Batch

TASKS = ("classification", "detection", "semantic", "instance")
METHODS = (
    "pcgrad",
    "gradvac",
    "cagrad",
    "mgda",
    "imtl_g",
    "nash",
    "fairgrad",
    "aligned",
    "upgrad",
    "dualproj",
    "config",
    "sdmgrad",
    "graddrop",
    "dbmtl",
    "moco",
)
"""Every gradient method."""
CHEAPER = {
    "pcgrad at=features": "pcgrad weighting.at=features",
    "pcgrad every=4": "pcgrad weighting.every=4",
    "pcgrad sample=0.5": "pcgrad weighting.sample=0.5",
    "pcgrad every=4 sample=0.5": "pcgrad weighting.every=4 weighting.sample=0.5",
}
"""Side -> what stands behind `weighting=` on the command line."""


def section(overrides: Sequence[str], folder: Path, steps: int, tasks: int, *, every: bool) -> Section:
    """Compares seconds per step over `steps` steps a visit, with the first `tasks` of `TASKS`.

    A multiple of 4 shows `every=4` at its true mean. With `every` all gradient methods are sides, else PCGrad.
    """
    # TorchJD's vmap over a backward in bfloat16 fails on a CPU.
    exact = "trainer.precision=32-true"
    size = ["dataset.size=256", "dataset.batch_size=4", exact, f"heads=[{','.join(TASKS[:tasks])}]"]
    cfg = config([*size, "optimizer=sgd", "optimizer.lr=1e-12", *overrides], folder, 1)
    batch = draw(cfg, folder, 1)[0].to(device(cfg))
    module = build.model(cfg).to(device(cfg)).train()
    optimizer = instantiate(cfg.optimizer).build(module)
    methods = METHODS if every else METHODS[:1]
    ours = {"equal": "equal", **{name: name for name in methods}, **CHEAPER}
    backwards: dict[str, Backward] = {}
    for name, words in ours.items():
        chosen = config([*size, *overrides, *f"weighting={words}".split()], folder, 1)
        backwards[name] = build.weighting(
            chosen.weighting, module.tasks, module.sharing.backbone.channels["c5"]
        ).backward
    backwards["pcgrad, floor"] = floor
    theirs = [name for name in methods if name in TORCHJD]
    backwards |= {f"{name}, TorchJD": torchjd(name) for name in theirs}
    backwards["pcgrad, TorchJD without vmap"] = torchjd("pcgrad", chunk=1)
    known = [name for name in methods if name in LIBMTL] if libmtl_version() else []
    backwards |= {f"{name}, LibMTL": libmtl(name) for name in known}

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
            *(Aim(name, f"{name}, TorchJD", 0.87) for name in theirs),
            Aim("pcgrad", "pcgrad, TorchJD without vmap", 0.87),
            *(Aim(name, f"{name}, LibMTL", 1.0) for name in known),
            Aim("pcgrad at=features", "equal", 1.1),
            Aim("pcgrad every=4 sample=0.5", "equal", 1.15),
            *([Aim("pcgrad", "equal", 1.25)] if tasks >= 4 else []),
        ],
        settings={"steps": steps, "overrides": [*size, *overrides], "tasks": list(module.tasks)},
    )


def losses(cfg: DictConfig, module: MultiTaskModule, batch: Batch) -> Step:
    """A forward pass, as the training step does it."""
    heads = {task: module.head(task) for task in module.tasks}
    with autocast(cfg):
        images = ((batch.images - module.mean) / module.std).contiguous(memory_format=module.memory_format)
        shared = module.sharing(images, module.tasks)
        found: dict[str, Tensor] = {}
        inputs: list[Tensor] = []
        for task, head in heads.items():
            known = torch.tensor([head.labelled(target) for target in batch.targets], device=images.device)
            if known.any():
                read = {level: shared.tasks[task][level].view_as(shared.tasks[task][level]) for level in head.levels}
                inputs += read.values()
                found[task] = (head.loss(head(read), batch.targets) * known).sum() / known.sum()
    return Step(
        losses=found,
        values={task: loss.detach() for task, loss in found.items()},
        factor=torch.ones((), device=images.device),
        shared=module.sharing.shared_parameters(),
        own={task: list(heads[task].parameters()) for task in found},
        representation=shared.representation,
        behind=shared.behind,
        inputs=inputs,
        scaled=False,
        resample=lambda share: losses(cfg, module, part(batch, share)).losses,
    )


def part(batch: Batch, share: float) -> Batch:
    """The first `share` of a batch's images."""
    count = round(share * len(batch))
    return replace(batch, images=batch.images[:count], targets=batch.targets[:count], ids=batch.ids[:count])
