"""Our training step against a plain PyTorch loop.

Ours is a whole run as a user starts it: Lightning with logging, the live progress bar, checkpoints and `metrics.csv`.
Both sides start from the same weights and take the same batches from memory, so loading is left out; so are the ends
of epochs, which are rare. The figure beside the seconds is how far the weights have moved in the end.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from bench.setup import autocast, config, device, draw
from bench.sides import Aim, Section, now
from vjo_train.config import build
from vjo_train.training import run
from vjo_train.types import Batch

SUM = "weighting=equal"
"""What the plain loop trains with."""
WARMUP = 2
"""Steps that are not timed; nor is the last one, so that all that lies between two steps is."""


def section(overrides: Sequence[str], folder: Path, steps: int) -> Section:
    """Compares seconds per step over `steps` steps a visit."""
    count = WARMUP + steps + 1
    cfg = config([SUM, *overrides], folder, count)
    batches = draw(cfg, folder, count)
    return Section(
        unit="step",
        result="way of the weights",
        sides={"plain": lambda: plain(cfg, batches), "vjo-train": lambda: ours(cfg, batches, folder)},
        aims=[Aim("vjo-train", "plain", 1 / 0.97)],
        settings={"steps": steps, "overrides": list(overrides), "batch": len(batches[0])},
    )


def plain(cfg: DictConfig, batches: list[Batch]) -> tuple[float, float]:
    """The least that trains: forward, sum of the losses, backward, optimizer, learning rate."""
    pl.seed_everything(cfg.seed, verbose=False)
    where = device(cfg)
    module = build.model(cfg).to(where).train()
    heads = {task: module.head(task) for task in module.tasks}
    before = weights(module)
    optimizer = module._optimizer.build(module)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: module._lr_schedule.factor(step, len(batches)))
    marks = []
    for loaded in batches:
        marks.append(now() if len(marks) in (WARMUP, len(batches) - 1) else 0.0)
        batch = loaded.to(where)
        with autocast(cfg):
            outputs = module(batch.images)
            losses = []
            for task, head in heads.items():
                known = torch.tensor([head.labelled(target) for target in batch.targets], device=where)
                losses.append((head.loss(outputs[task], batch.targets) * known).sum() / known.sum())
        optimizer.zero_grad()
        torch.stack(losses).sum().backward()
        optimizer.step()
        schedule.step()
    return _pace(marks), float((weights(module) - before).norm())


def ours(cfg: DictConfig, batches: list[Batch], folder: Path) -> tuple[float, float]:
    """A run of `vjo-train` with these batches; its output, live bar included, goes nowhere."""
    clock = _Clock(len(batches))
    with (
        redirect_stdout(StringIO()),
        patch.dict(os.environ, FORCE_COLOR="1"),
        TemporaryDirectory(dir=folder) as own,
    ):
        job = build.job(cfg, Path(own))
        job.callbacks.append(clock)
        job.data.train_dataloader = lambda: _Loaded(batches)
        before = weights(job.module)
        run.train(job)
    return _pace(clock.marks), float((weights(job.module) - before).norm())


class _Loaded:
    """A loader that hands out what is there (Lightning takes a plain list for several loaders)."""

    def __init__(self, batches: list[Batch]) -> None:
        self._batches = batches

    def __iter__(self) -> Iterator[Batch]:
        return iter(self._batches)

    def __len__(self) -> int:
        return len(self._batches)


class _Clock(pl.Callback):
    def __init__(self, count: int) -> None:
        self.marks: list[float] = []
        self._count = count

    def on_train_batch_start(self, *_: Any) -> None:
        self.marks.append(now() if len(self.marks) in (WARMUP, self._count - 1) else 0.0)


def _pace(marks: list[float]) -> float:
    return (marks[-1] - marks[WARMUP]) / (len(marks) - 1 - WARMUP)


def weights(module: nn.Module) -> Tensor:
    """All of them in one row, in double precision."""
    return torch.cat([p.detach().cpu().double().reshape(-1) for p in module.parameters()])
