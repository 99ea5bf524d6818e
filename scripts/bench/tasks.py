"""A training step with one, two, four and eight tasks, against the sum of its parts.

The network is that of `experiment=shapes_everything`, on drawn shapes in space. Ours is a whole run as in `loop`. The
parts are timed one by one: forward and backward of what is shared, once, with the optimizer; and of each head alone, on
features of its own. The figure beside the seconds is how far the weights have moved: the parts make the same step.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, OmegaConf, open_dict

from bench.loop import WARMUP, ours, weights
from bench.setup import autocast, config, device, draw
from bench.sides import Aim, Section, now
from vjo_train.config import build
from vjo_train.config.checks.class_names import class_names
from vjo_train.types import Batch

TASKS = ("detection", "semantic", "classification", "instance", "keypoints", "depth", "normals", "category")
COUNTS = (1, 2, 4, 8)


def section(overrides: Sequence[str], folder: Path, steps: int) -> Section:
    """Compares seconds per step over `steps` steps a visit."""
    shared = ["experiment=shapes_everything", "heads.category.dropout=0", *overrides]
    count = WARMUP + steps + 1
    shared += class_names(config(shared, folder, count))
    whole = config(shared, folder, count)
    sides, aims = {}, []
    for number in COUNTS:
        cfg = whole.copy()
        with open_dict(cfg):
            cfg.heads = OmegaConf.masked_copy(cfg.heads, list(TASKS[:number]))
        batches = draw(cfg, folder, count)
        name = f"{number} task{'s' if number > 1 else ''}"
        sides[name] = partial(ours, cfg, batches, folder)
        sides[f"{name}, parts"] = partial(parts, cfg, batches)
        aims.append(Aim(name, f"{name}, parts", 1.1))
    return Section(
        unit="step",
        result="way of the weights",
        sides=sides,
        aims=aims,
        settings={"steps": steps, "overrides": list(overrides), "tasks": list(TASKS), "batch": len(batches[0])},
    )


def parts(cfg: DictConfig, batches: list[Batch]) -> tuple[float, float]:
    """A plain loop whose heads read copies of the shared features, one head after the other."""
    pl.seed_everything(cfg.seed, verbose=False)
    where = device(cfg)
    module = build.model(cfg).to(where).train()
    before = weights(module)
    optimizer = module._optimizer.build(module)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: module._lr_schedule.factor(step, len(batches)))
    marks = []
    for loaded in batches:
        marks.append(now())
        batch = loaded.to(where)
        module.draw_as(batch.step)
        optimizer.zero_grad()
        with autocast(cfg):
            features = module.share(batch.images, module.tasks).tasks
        read: list[torch.Tensor] = []
        arrived: list[torch.Tensor] = []
        for task in module.tasks:
            head = module.head(task)
            own = {level: features[task][level] for level in head.levels}
            copies = {level: tensor.detach().requires_grad_() for level, tensor in own.items()}
            targets = head.view(batch.targets)
            known = torch.tensor([head.labelled(target) for target in targets], device=where)
            with autocast(cfg):
                loss = (head.loss(head(copies), targets) * known).sum() / known.sum()
            loss.backward()
            for level, copy in copies.items():
                if copy.grad is not None:
                    read.append(own[level])
                    arrived.append(copy.grad)
        torch.autograd.backward(read, arrived)
        optimizer.step()
        schedule.step()
    return (marks[-1] - marks[WARMUP]) / (len(marks) - 1 - WARMUP), float((weights(module) - before).norm())
