"""Checkpoints: where they lie, how they are read, and what is said of a wrong one."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import nn

from vjo_train import runs
from vjo_train.errors import CheckpointError, ConfigError

FOLDER = "checkpoints"


def callbacks(output: Path, monitor: str | None) -> list[ModelCheckpoint]:
    """`last.ckpt` after every epoch; with a monitored metric also `best.ckpt`, the epoch where it was highest."""
    folder = output / FOLDER
    last = ModelCheckpoint(
        dirpath=folder, filename="last", save_top_k=1, enable_version_counter=False, save_on_train_epoch_end=True
    )
    if monitor is None:
        return [last]
    best = ModelCheckpoint(
        dirpath=folder, filename="best", monitor=monitor, mode="max", save_top_k=1, enable_version_counter=False
    )
    return [best, last]


def resume_path(resume: str | None, output: Path) -> Path | None:
    """What `trainer.resume` names: a file, a run's folder, `auto` (this run's `last.ckpt` if there is one), or None.

    Raises:
        ConfigError: the path does not exist.
    """
    if resume is None:
        return None
    if resume == "auto":
        path = output / FOLDER / "last.ckpt"
        return path if path.is_file() else None
    path = Path(resume)
    if path.is_dir():
        return runs.checkpoint(path, "last", "trainer.resume")
    if not path.is_file():
        raise ConfigError(f"trainer.resume: found {resume!r}, which is neither file nor folder; give auto or a path.")
    return path


def read(path: Path) -> dict[str, Any]:
    """A checkpoint as plain data; nothing in it is run.

    Raises:
        CheckpointError: damaged, or no checkpoint of this program.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, OSError, zipfile.BadZipFile) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{path} is damaged or no checkpoint ({reason}).") from error
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise CheckpointError(f"{path} is no checkpoint of vjo-train: it holds no state_dict.")
    return checkpoint


def restore(module: nn.Module, path: Path) -> None:
    """Fills `module` with the weights of a checkpoint.

    Raises:
        CheckpointError: of another network; the message names the first difference and counts the others.
    """
    state = read(path)["state_dict"]
    own = module.state_dict()
    differences = [f"{key} is missing" for key in own if key not in state]
    differences += [f"{key} is not in this network" for key in state if key not in own]
    differences += [
        f"{key} is {tuple(state[key].shape)}, here {tuple(own[key].shape)}"
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    if differences:
        more = f" (and {len(differences) - 1} more differences)" if len(differences) > 1 else ""
        raise CheckpointError(f"{path} is of another network: {differences[0]}{more}.")
    module.load_state_dict(state)
