"""One network of four tasks against four networks of one task, in evaluation.

All have the heads' default sizes on ResNet-50 + FPN, at batch 4 and 320 px by default, and the four have the weights of
the one, so the figure beside the seconds, the mean magnitude of what comes out, must be the same. The weights are
random, so nothing is below a score threshold of 0: non-maximum suppression meets as many boxes as a head may give it,
and `FOUND` an image leave it, as of a trained detector on photographs (VOC's have 2.5 objects). Each gets a mask.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from torch import Tensor

from bench.setup import autocast, config, device, draw
from bench.sides import Aim, Section, now
from vjo_train.config import build
from vjo_train.training.module import MultiTaskModule
from vjo_train.types import Batch

TASKS = ("classification", "detection", "semantic", "instance")
SIZE = ("backbone=resnet50", "dataset.size=320", "dataset.batch_size=4")
FOUND = 10
LEAST = tuple(
    f"heads.{task}.{key}"
    for task in ("detection", "instance")
    for key in ("score_threshold=0", f"detections_per_image={FOUND}")
)
DETECTION = {"fcos": "detection", "faster_rcnn": "detection_faster_rcnn"}


def section(overrides: Sequence[str], folder: Path, detector: str) -> Section:
    """Compares seconds per image, of the networks alone and with decoding; `detector` is one of `DETECTION`."""
    heads = ",".join(DETECTION[detector] if task == "detection" else task for task in TASKS)
    cfg = config([f"heads=[{heads}]", *LEAST, *SIZE, *overrides], folder, 1)
    (drawn,) = draw(cfg, folder, 1)
    batch = replace(drawn, originals=drawn.targets, scales=torch.ones(len(drawn))).to(device(cfg))
    pl.seed_everything(cfg.seed, verbose=False)
    one = build.model(cfg)
    networks = {"one network": [one], "four networks": [single(cfg, task, one) for task in one.tasks]}
    for module in (module for modules in networks.values() for module in modules):
        module.to(device(cfg)).eval()
    return Section(
        unit="image",
        result="mean magnitude",
        sides={
            f"{name}{', decoded' if decoded else ''}": visit(cfg, networks[name], batch, decoded)
            for decoded in (False, True)
            for name in ("four networks", "one network")
        },
        aims=[
            Aim("one network", "four networks", 1 / 2.5),
            Aim("one network, decoded", "four networks, decoded", 1 / 2.5),
        ],
        settings={"heads": heads, "overrides": [*SIZE, *overrides], "tasks": list(one.tasks)},
    )


def single(cfg: DictConfig, task: str, joint: MultiTaskModule) -> MultiTaskModule:
    """The network of one task, with the weights of the joint one."""
    alone = cfg.copy()
    alone.heads = {task: cfg.heads[task]}
    module = build.model(alone)
    known = joint.state_dict()
    weights = {name: known[name] for name in module.state_dict() if not name.startswith("weighting")}
    module.load_state_dict(weights, strict=False)
    return module


def visit(cfg: DictConfig, modules: Sequence[MultiTaskModule], batch: Batch, decoded: bool) -> Any:
    """A side: all of `modules` on the batch, one after the other."""

    @torch.inference_mode()
    def side() -> tuple[float, float]:
        found: dict[str, Any] = {}
        start = now()
        for module in modules:
            with autocast(cfg):
                found |= module.predict(batch) if decoded else module(batch.images)
        seconds = (now() - start) / len(batch)
        # The bounds that FCOS hands on are infinite at the end.
        values = [float(tensor.float().abs().clamp(max=1000).mean()) for tensor in tensors(found) if tensor.numel()]
        return seconds, sum(values) / len(values)

    return side


def tensors(value: Any) -> Iterator[Tensor]:
    """All tensors of outputs or predictions."""
    if isinstance(value, Tensor):
        yield value
    elif is_dataclass(value):
        yield from tensors([getattr(value, f.name) for f in fields(value)])
    elif isinstance(value, Mapping):
        yield from tensors(value.values())
    elif isinstance(value, Iterable):
        for item in value:
            yield from tensors(item)
