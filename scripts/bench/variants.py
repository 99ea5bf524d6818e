"""The same training step in another arithmetic, or compiled.

A step is forward, one backward of the sum of the task losses and the optimizer, on ResNet-18 + FPN with two heads at
batch 4 and 256 px by default. The learning rate is next to nothing, so that all sides meet the same gradients; the
figure beside the seconds is the sum of the losses.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from bench.setup import config, device, draw
from bench.sides import Aim, Section, now
from bench.weighting import losses
from vjo_train.config import build
from vjo_train.training.compiling import compile_network
from vjo_train.training.module import MultiTaskModule
from vjo_train.types import Batch

SIZE = ("dataset.size=256", "dataset.batch_size=4", "heads=[classification,detection]", "optimizer=sgd")
PRECISION = {
    "float32, contiguous": ("trainer.precision=32-true", "trainer.channels_last=false"),
    "float32, channels_last": ("trainer.precision=32-true", "trainer.channels_last=true"),
    "bfloat16, channels_last": ("trainer.precision=bf16-mixed", "trainer.channels_last=true"),
}
COMPILE = {"eager": (), "compiled": ("trainer.compile=true",)}


def precision_section(overrides: Sequence[str], folder: Path, steps: int) -> Section:
    """float32 against bfloat16; the aim holds where the processor multiplies bfloat16 matrices (AMX, or a GPU)."""
    fast = torch.cuda.is_available() or torch.cpu._is_amx_tile_supported()
    aims = [Aim("bfloat16, channels_last", "float32, contiguous", 0.5)] if fast else []
    found = section(PRECISION, overrides, folder, steps, aims)
    found.settings["matrices of bfloat16 in hardware"] = "yes" if fast else "no, so nothing is aimed at"
    return found


def compile_section(overrides: Sequence[str], folder: Path, steps: int) -> Section:
    """With and without `trainer.compile`; the compiler's own time is in the visit that warms up."""
    return section(COMPILE, overrides, folder, steps, [Aim("compiled", "eager", 1.0)])


def section(
    variants: dict[str, tuple[str, ...]], overrides: Sequence[str], folder: Path, steps: int, aims: list[Aim]
) -> Section:
    """Compares seconds per step over `steps` steps a visit, with each variant's overrides."""
    configs = {
        name: config([*SIZE, "optimizer.lr=1e-12", *overrides, *words], folder, 1) for name, words in variants.items()
    }
    first = next(iter(configs.values()))
    batch = draw(first, folder, 1)[0].to(device(first))
    start = build.model(first).state_dict()
    modules = {name: made(cfg, start) for name, cfg in configs.items()}
    return Section(
        unit="step",
        result="sum of the losses",
        sides={name: partial(visit, configs[name], module, batch, steps) for name, module in modules.items()},
        aims=aims,
        settings={"steps": steps, "overrides": [*SIZE, *overrides]},
    )


def made(cfg: DictConfig, start: dict[str, torch.Tensor]) -> MultiTaskModule:
    """The network of a variant, from the same weights."""
    module = build.model(cfg).to(device(cfg)).train()
    module.load_state_dict(start)
    if cfg.trainer.compile:
        compile_network(module)
    return module


def visit(cfg: DictConfig, module: MultiTaskModule, batch: Batch, steps: int) -> tuple[float, float]:
    """Some steps."""
    optimizer = instantiate(cfg.optimizer).build(module)
    start = now()
    for _ in range(steps):
        optimizer.zero_grad()
        total = torch.stack(list(losses(cfg, module, batch).losses.values())).sum()
        total.backward()
        optimizer.step()
    return (now() - start) / steps, float(total.detach())
