"""Run folders on disk: which is unfinished, which lie nearby. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vjo_train.errors import CheckpointError, ConfigError

CONFIG = Path(".hydra") / "config.yaml"
"""A run's own config, in its folder."""


def load_config(run: Path) -> DictConfig:
    """The config that a run was started with.

    Raises:
        ConfigError: `run` is no run's folder; the message names those nearby.
    """
    if not (run / CONFIG).is_file():
        what = "holds no .hydra/config.yaml" if run.is_dir() else "does not exist" if not run.exists() else "is a file"
        near = nearby(run)
        shown = f" Runs nearby: {', '.join(map(str, near))}." if near else ""
        raise ConfigError(f"run: found '{run}', which {what}; it must be the folder of a run.{shown}")
    cfg = OmegaConf.load(run / CONFIG)
    assert isinstance(cfg, DictConfig)
    return cfg


def nearby(path: Path, most: int = 3) -> list[Path]:
    """Runs below `path` or its closest parent that has any, and in the usual folders; the newest first."""
    places = [path, *path.parents][:3]
    places = [p for p in places if p not in (Path("."), Path("/"))] + [Path("outputs"), Path("multirun")]
    for place in places:
        found = {file.parents[1] for depth in ("", "*/", "*/*/", "*/*/*/") for file in place.glob(f"{depth}{CONFIG}")}
        found = {run for run in found if "eval" not in run.parts[-2:]}
        if found:
            return _newest_first(found)[:most]
    return []


def unfinished(folder: Path, cfg: DictConfig) -> Path | None:
    """The newest run in `folder` that stopped before its end and has the config `cfg`, `trainer.resume` aside."""
    wanted = _comparable(cfg)
    for run in _newest_first(folder.glob("*")):
        stopped = (run / "checkpoints" / "last.ckpt").is_file() and not (run / "results.json").exists()
        if stopped and (run / CONFIG).is_file() and _comparable(load_config(run)) == wanted:
            return run
    return None


def checkpoint(run: Path, which: str | None, key: str = "checkpoint") -> Path:
    """The checkpoint of a run that `which` names: `best`, `last`, a file, or None: best where there is one, else last.

    Raises:
        CheckpointError: there is no such file.
    """
    if which in (None, "best", "last"):
        names = ["best", "last"] if which is None else [which]
        for name in names:
            if (path := run / "checkpoints" / f"{name}.ckpt").is_file():
                return path
        there = ", ".join(sorted(p.name for p in (run / "checkpoints").glob("*.ckpt"))) or "none"
        raise CheckpointError(f"{key}: no {' or '.join(map(str, names))} checkpoint in '{run}' (found: {there}).")
    path = Path(str(which))
    if not path.is_file():
        raise CheckpointError(f"{key}: found '{which}', which is no file; must be best, last or a file.")
    return path


def _newest_first(runs: Iterable[Path]) -> list[Path]:
    return sorted(runs, key=lambda run: (run.stat().st_mtime, run.name), reverse=True)


def _comparable(cfg: DictConfig) -> dict[str, Any]:
    plain = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(plain, dict)
    trainer = plain.get("trainer")
    if isinstance(trainer, dict):
        trainer.pop("resume", None)
    plain.pop("hydra", None)
    return {str(key): value for key, value in plain.items()}
