"""The only place that turns a composed config into objects."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from vjo_train import run
from vjo_train.data.datamodule import DataModule
from vjo_train.errors import ConfigError, VjoError
from vjo_train.module import MultiTaskModule
from vjo_train.report.results import Results
from vjo_train.weighting.base import LossWeighting, Weighting


def train(cfg: DictConfig, output: Path) -> Results:
    """Trains and tests the composed config; everything is written under `output`.

    Raises:
        VjoError: a mistake in the config or the data.
    """
    return run.train(job(cfg, output))


def evaluate(cfg: DictConfig, output: Path, checkpoint: Path) -> Results:
    """Tests `checkpoint` on the config's `split` where it names one, else on its `dataset.test_split`.

    Raises:
        VjoError: a mistake in the config or the data, or a checkpoint that does not fit.
    """
    built = job(cfg, output)
    built.data.test_split = cfg.get("split") or built.data.test_split
    return run.evaluate(built, checkpoint)


def job(cfg: DictConfig, output: Path) -> run.Job:
    """Everything that a run of `cfg` needs, built and bound to each other.

    Raises:
        VjoError: a mistake in the config.
    """
    pl.seed_everything(cfg.seed, verbose=False)
    data = datamodule(cfg)
    module = model(cfg)
    data.bind({task: module.head(task).needs for task in module.tasks}, _make(cfg.schedule, tasks=module.tasks))
    return run.Job(
        module=module,
        data=data,
        settings=_make(cfg.trainer),
        loggers=[_make(cfg.logger)] if cfg.logger and "_target_" in cfg.logger else [],
        output=output,
        seed=cfg.seed,
        config=OmegaConf.to_container(cfg, resolve=True),  # type: ignore[arg-type]
        overrides=list(HydraConfig.get().overrides.task) if HydraConfig.initialized() else [],
    )


def datamodule(cfg: DictConfig) -> DataModule:
    """The data set of `cfg`, not yet bound to tasks."""
    data = _make(cfg.dataset, seed=cfg.seed)
    assert isinstance(data, DataModule)
    return data


def model(cfg: DictConfig) -> MultiTaskModule:
    """The network of `cfg` with its weighting, from random or given backbone weights.

    Raises:
        ConfigError: no heads, or parts that do not fit each other.
    """
    if not cfg.heads:
        raise ConfigError("heads: found none; choose at least one, such as heads=[classification,detection].")
    backbone = _make(cfg.backbone)
    neck = _make(cfg.neck, in_channels=backbone.channels)
    channels = {**backbone.channels, **neck.channels}
    classes = len(cfg.dataset.classes)
    heads = {task: _make(node, channels=channels, num_classes=classes) for task, node in cfg.heads.items()}
    for task, head in heads.items():
        for level in head.levels:
            if level not in channels:
                raise ConfigError(f"heads.{task}: reads level {level}; backbone and neck give {', '.join(channels)}.")
    sharing = _make(
        cfg.sharing, backbone=backbone, neck=neck, levels={task: head.levels for task, head in heads.items()}
    )
    return MultiTaskModule(
        sharing=sharing,
        heads=heads,
        weighting=weighting(cfg.weighting, tuple(heads)),
        optimizer=_make(cfg.optimizer),
        lr_schedule=_make(cfg.lr_schedule),
        seed=cfg.seed,
        channels_last=cfg.trainer.channels_last,
    )


def weighting(node: DictConfig, tasks: tuple[str, ...]) -> Weighting:
    """The weighting of `node`; where its key `losses` names a loss weighting, that one goes under it.

    Raises:
        ConfigError: `weighting.losses` names no loss weighting.
    """
    inner = node.get("losses")
    if not isinstance(inner, str):
        return _make(node, tasks=tasks)  # type: ignore[no-any-return]
    folder = resources.files("vjo_train.conf") / "weighting"
    choices = sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml"))
    losses = None
    if inner in choices:
        chosen = OmegaConf.create((folder / f"{inner}.yaml").read_text())
        losses = _make(OmegaConf.create({"seed": node.get("seed", 0), "losses": chosen}).losses, tasks=tasks)
    if not isinstance(losses, LossWeighting):
        near = get_close_matches(inner, choices, n=1)
        hint = f"; did you mean '{near[0]}'?" if near and near[0] != inner else "."
        raise ConfigError(f"weighting.losses: found '{inner}', which is no loss weighting{hint}")
    return _make(node, tasks=tasks, losses=losses)  # type: ignore[no-any-return]


def _make(node: DictConfig, **given: Any) -> Any:
    """Instantiates a node; a mistake that its constructor finds comes out as it was raised."""
    try:
        return instantiate(node, _convert_="all", **given)
    except InstantiationException as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, VjoError):
            cause = cause.__cause__
        if cause is not None:
            raise cause from None
        raise
