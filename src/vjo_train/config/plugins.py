"""A user's own code beside the configs of `-cd DIR`: how it is found, also by those who use the run later."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

from omegaconf import OmegaConf

HYDRA = Path(".hydra") / "hydra.yaml"
"""Hydra's own settings of a run, in its folder."""


def make_importable(folder: Path) -> None:
    """Lets Python find modules in `folder`, here and in the processes that this one starts; what is installed wins."""
    path = str(folder.absolute())
    if path in sys.path:
        return
    sys.path.append(path)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), path]))
    importlib.invalidate_caches()


def make_importable_for(run: Path) -> None:
    """Lets Python find the modules that a run's own `-cd DIR` held, where that folder is still there."""
    if not (run / HYDRA).is_file():
        return
    sources = OmegaConf.select(OmegaConf.load(run / HYDRA), "hydra.runtime.config_sources") or []
    for source in sources:
        if source.provider == "command-line" and (folder := Path(source.path)).is_dir():
            make_importable(folder)
