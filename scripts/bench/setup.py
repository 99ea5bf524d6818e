"""The composed config of a section, and its batches."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import torch
from hydra import compose, initialize_config_module
from omegaconf import DictConfig

from vjo_train.config import build
from vjo_train.types import Batch


def config(overrides: Sequence[str], folder: Path, batches: int) -> DictConfig:
    """The training config on drawn shapes, at least so many batches of them, kept in `folder`."""
    fixed = [
        f"dataset.cache_dir={folder}",
        "dataset.workers=0",
        "dataset.val_split=null",
        "dataset.generate.image_size=${dataset.size}",
        "dataset.generate.val=1",
        "dataset.generate.test=1",
        "trainer.max_epochs=1",
        "weighting.diagnose_every=0",  # the first batch of each visit would be looked at
    ]
    with initialize_config_module("vjo_train.conf", version_base="1.3"):
        cfg = compose("train", [*fixed, *overrides])
    cfg.dataset.generate.train = batches * cfg.dataset.batch_size
    if "classification" in cfg.heads:
        cfg.heads.classification.dropout = 0.0  # so that all sides compute the same
    return cfg


def draw(cfg: DictConfig, folder: Path, count: int) -> list[Batch]:
    """The first `count` batches of training, in memory: loading is no part of what is measured."""
    data = build.job(cfg, folder).data
    data.prepare_data()
    data.setup("fit")
    return list(islice(data.train_dataloader(), count))


def device(cfg: DictConfig) -> torch.device:
    """Where the sides run."""
    return torch.device("cuda" if cfg.trainer.accelerator != "cpu" and torch.cuda.is_available() else "cpu")


def autocast(cfg: DictConfig) -> torch.autocast:
    """The arithmetic that the trainer would choose.

    Raises:
        ValueError: float16, which needs a loss scaler.
    """
    from vjo_train.training.precision import choose_precision

    precision = choose_precision(cfg.trainer.precision, cfg.trainer.accelerator)
    if precision == "16-mixed":
        raise ValueError("trainer.precision: found 16-mixed; the benchmark knows 32-true and bf16-mixed.")
    return torch.autocast(device(cfg).type, torch.bfloat16, enabled=precision == "bf16-mixed")
