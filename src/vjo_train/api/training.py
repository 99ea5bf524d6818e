"""`vjo_train.train`: one run, in this process."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from vjo_train.api.hydra_state import kept_config
from vjo_train.api.run import Run
from vjo_train.api.words import listed
from vjo_train.cli.start import without_nulls
from vjo_train.cli.train import reserve
from vjo_train.config import plugins
from vjo_train.config.checks.training import check_training
from vjo_train.config.compose import Composer
from vjo_train.errors import ConfigError


def train(overrides: Sequence[str] = (), *, config_dir: str | os.PathLike[str] | None = None) -> Run:
    """Trains and tests, as `vjo-train` does with these words: `train(["experiment=shapes_demo", "seed=2"])`.

    The run writes into a folder of its own, below `outputs/` unless `hydra.run.dir=DIR` names another. The process is
    left as it was: logging, warnings, random numbers, handlers of signals, Hydra's config.

    Args:
        overrides: group=choice or key=value.
        config_dir: a folder with further configs, as `vjo-train -cd DIR`.

    Raises:
        VjoError: a mistake in the config or the data; what went wrong in training.
        KeyboardInterrupt: Ctrl-C; the first one ends the running step and saves it for `trainer.resume=auto`.
    """
    words = without_nulls(listed("overrides", overrides))
    folders = None if config_dir is None else os.fspath(config_dir)
    for folder in (folders, os.curdir):
        if folder is not None:
            plugins.make_importable(Path(folder))
    with ExitStack() as stack:
        stack.enter_context(kept_config())
        composer = Composer("train", folders)
        _check_one_run(composer, words)
        checked = check_training(composer, words, multirun=False)
        words += [*checked.added, *reserve(stack, checked.place)]
        return Run(_trained(composer, words))


def _trained(composer: Composer, words: list[str]) -> Path:
    """Runs it; returns its folder.

    Raises:
        KeyboardInterrupt: it was stopped.
    """
    from hydra.core.hydra_config import HydraConfig

    from vjo_train.api.process_state import kept_process
    from vjo_train.config import jobs
    from vjo_train.training.signals import Stopped

    def job(cfg: DictConfig) -> Path:
        output = Path(HydraConfig.get().runtime.output_dir)
        jobs.train(cfg, output)
        return output

    try:
        with kept_process():
            output: Any = composer.run(words, job)
    except Stopped as stopped:
        raise KeyboardInterrupt("stopped; trainer.resume=auto goes on from here.") from stopped
    return Path(output)


def _check_one_run(composer: Composer, words: list[str]) -> None:
    """Refuses what takes several runs or processes, which start the command again.

    Raises:
        ConfigError: a sweep, a comparison, or several devices.
    """
    for word, override in zip(words, composer.parse(words), strict=True):
        if override.is_sweep_override():
            raise ConfigError(f"'{word}' gives several values; train() makes one run: call it for each value.")
    cfg = composer.compose(words)
    if cfg.get("compare") is not None:
        raise ConfigError("compare: found a comparison of many runs; train() makes one. Use vjo-train -m.")
    trainer = cfg.get("trainer") or {}
    several = [key for key in ("devices", "num_nodes") if trainer.get(key, 1) != 1]
    if several and "TORCHELASTIC_RUN_ID" not in os.environ:
        key = several[0]
        raise ConfigError(f"trainer.{key}: found {trainer[key]}; train() trains in this process. Use vjo-train.")
