"""A training step on pictures twice as wide as high: on a canvas of their shape, and on a square one, half of it empty.

A step is forward, backward of the sum of the task losses and the optimizer; loading is no part of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from hydra.utils import instantiate

from bench.setup import config, device, draw
from bench.sides import Aim, Section, now
from bench.weighting import losses
from vjo_train.config import build

CANVASES = {"square": "512", "wide": "[256,512]"}


def section(overrides: Sequence[str], folder: Path, steps: int) -> Section:
    """Compares seconds per step over `steps` steps a visit."""
    shared = ["dataset.batch_size=4", "heads=[classification,detection,semantic]", *overrides]
    configs = {
        name: config([*shared, f"dataset.size={size}", "dataset.generate.image_size=512"], folder, 1)
        for name, size in CANVASES.items()
    }
    where = device(configs["square"])
    batches = {name: draw(cfg, folder, 1)[0].to(where) for name, cfg in configs.items()}
    modules = {name: build.model(cfg).to(where).train() for name, cfg in configs.items()}

    def visit(name: str) -> tuple[float, float]:
        optimizer = instantiate(configs[name].optimizer).build(modules[name])
        start = now()
        for _ in range(steps):
            optimizer.zero_grad()
            torch.stack(list(losses(configs[name], modules[name], batches[name]).losses.values())).sum().backward()
            optimizer.step()
        return (now() - start) / steps, batches[name].images[0, 0].numel() / 1e6

    return Section(
        unit="step",
        result="pixels of a canvas (M)",
        sides={name: partial(visit, name) for name in CANVASES},
        aims=[Aim("wide", "square", 0.55)],
        settings={"steps": steps, "overrides": shared},
    )
