"""A user's own code, beside the configs of `-cd DIR` or in the current folder: how it is found, also later."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

from omegaconf import OmegaConf

from vjo_train.config import built_in
from vjo_train.errors import ConfigError

HYDRA = Path(".hydra") / "hydra.yaml"
"""Hydra's own settings of a run, in its folder."""


def check_names(folder: Path) -> None:
    """Checks that no config of a user's folder goes by the name of another one of this program, which Hydra would take.

    Raises:
        ConfigError: one does.
    """
    for file in sorted(built_in.folder().rglob("*.yaml")):
        name = file.relative_to(built_in.folder())
        own = folder / name
        if own.is_file() and own.read_bytes() != file.read_bytes():
            choice = f"{name.parent.as_posix()}={name.stem}" if name.parent.name else name.stem
            raise ConfigError(f"{own}: {choice} is built in and taken in its place; give the file another name.")


def make_importable(folder: Path) -> None:
    """Lets Python find modules in `folder`, here and in the processes that this one starts; what is installed wins."""
    path = str(folder.absolute())
    if path in sys.path:
        return
    sys.path.append(path)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), path]))
    importlib.invalidate_caches()


def make_importable_for(run: Path) -> None:
    """Lets Python find the modules of a run: in its `-cd DIR` and where it was started, if these are still there."""
    if not (run / HYDRA).is_file():
        return
    runtime = OmegaConf.select(OmegaConf.load(run / HYDRA), "hydra.runtime") or {}
    own = [source.path for source in runtime.get("config_sources", ()) if source.provider == "command-line"]
    for folder in map(Path, [*own, *filter(None, [runtime.get("cwd")])]):
        if folder.is_dir():
            make_importable(folder)
