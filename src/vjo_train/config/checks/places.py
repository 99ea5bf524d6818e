"""Where a command writes: the folder that a key names, and whether it can be made."""

from __future__ import annotations

import os
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vjo_train.config.compose import Composer
from vjo_train.errors import ConfigError


def folder_at(cfg: DictConfig, key: str) -> Path:
    """The folder that a key of Hydra names, which is mostly made of other keys.

    Raises:
        ConfigError: one of those is not there.
    """
    try:
        return Path(OmegaConf.select(cfg, key))
    except OmegaConfBaseException as error:
        raise ConfigError(f"{key}: {str(error).splitlines()[0].rstrip('.')}.") from error


def check_writable(folder: Path, key: str = "hydra.run.dir") -> None:
    """Refuses a folder that cannot be made."""
    there = next(parent for parent in [folder, *folder.parents, *folder.absolute().parents] if parent.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise ConfigError(f"{key}: '{folder}' cannot be made: '{there}' is no folder that can be written to.")


def is_given(composer: Composer, overrides: list[str], key: str) -> bool:
    """Whether the command line sets a key."""
    return any(override.key_or_group == key for override in composer.parse(overrides))
