"""A finished run's folder without a training: what the sections on prediction work on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf, open_dict

from vjo_train.config import build
from vjo_train.config.compose import Composer
from vjo_train.runs import run_folder

FOUND = 5
"""Objects that are found in each picture: a trained detector finds about three in a photograph of VOC."""
HEADS = ("classification", "detection", "semantic")


def made_run(overrides: Sequence[str], folder: Path) -> Path:
    """Writes config and checkpoint of a network of random weights, which finds `FOUND` objects in each picture."""
    found = ("heads.detection.score_threshold=0", f"heads.detection.detections_per_image={FOUND}")
    cfg = Composer("train").compose([f"heads=[{','.join(HEADS)}]", *found, *overrides])
    with open_dict(cfg):
        del cfg["hydra"]
    pl.seed_everything(cfg.seed, verbose=False)
    state = {"state_dict": build.model(cfg).state_dict(), "batches": 0}
    (folder / "checkpoints").mkdir(parents=True)
    (folder / run_folder.CONFIG).parent.mkdir()
    OmegaConf.save(cfg, folder / run_folder.CONFIG)
    torch.save(state, folder / "checkpoints" / run_folder.LAST)
    return folder
