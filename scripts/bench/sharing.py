"""Ways of sharing against hard sharing: parameters, seconds per training step, memory.

A step is forward, one backward of the sum of the task losses and the optimizer, on ResNet-18 + FPN with three heads at
batch 4 and 256 px by default. Memory is what a step holds between forward and backward, counted, not measured: weights,
their gradients and momentum, and every tensor that the graph keeps.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor

from bench.setup import config, device, draw
from bench.sides import Section, now
from bench.weighting import losses
from vjo_train.config import build
from vjo_train.training.module import MultiTaskModule
from vjo_train.types import Batch

SHARINGS = ("hard", "cross_stitch", "hierarchical", "mtan", "mmoe", "routed", "branched", "adversarial", "adapters")


def section(overrides: Sequence[str], folder: Path, steps: int) -> Section:
    """Compares seconds per step over `steps` steps a visit."""
    size = ["dataset.size=256", "dataset.batch_size=4", "heads=[classification,detection,semantic]", *overrides]
    configs = {name: config([*size, "optimizer=sgd", f"sharing={name}"], folder, 1) for name in SHARINGS}
    where = device(configs["hard"])
    batch = draw(configs["hard"], folder, 1)[0].to(where)
    modules = {name: build.model(cfg).to(where).train() for name, cfg in configs.items()}
    counts = {name: sum(p.numel() for p in module.parameters()) / 1e6 for name, module in modules.items()}
    memory = {name: held(configs[name], module, batch) for name, module in modules.items()}

    def visit(name: str) -> tuple[float, float]:
        cfg, module = configs[name], modules[name]
        optimizer = instantiate(cfg.optimizer).build(module)
        start = now()
        for _ in range(steps):
            optimizer.zero_grad()
            torch.stack(list(losses(cfg, module, batch).losses.values())).sum().backward()
            optimizer.step()
        return (now() - start) / steps, counts[name]

    return Section(
        unit="step",
        result="parameters (M)",
        sides={name: partial(visit, name) for name in SHARINGS},
        settings={
            "steps": steps,
            "overrides": size,
            "parameters (M)": [f"{name} {count:.2f}" for name, count in counts.items()],
            "memory against hard": [f"{name} {value / memory['hard']:.2f}" for name, value in memory.items()],
        },
    )


def held(cfg: DictConfig, module: MultiTaskModule, batch: Batch) -> int:
    """Bytes that a step holds between forward and backward."""
    own = [tensor.untyped_storage() for tensor in (*module.parameters(), *module.buffers())]
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        found = losses(cfg, module, batch)  # alive until its graph has been counted
    for storage in own:
        kept.pop(storage.data_ptr(), None)
    trained = sum(p.numel() * p.element_size() for p in module.parameters() if p.requires_grad)
    assert found.losses
    return sum(storage.nbytes() for storage in own) + 2 * trained + sum(kept.values())
