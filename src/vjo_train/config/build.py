"""The only place that turns a composed config into objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from hydra.core.hydra_config import HydraConfig
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf
from torch import nn

from vjo_train.backbones.base import FeatureNet
from vjo_train.backbones.neck import check_neck
from vjo_train.config.conformity import CLASSES
from vjo_train.config.instantiation import make, wanted
from vjo_train.config.rules import check_norm
from vjo_train.data.datamodule import DataModule
from vjo_train.data.sources.base import Source
from vjo_train.data.sources.voc.source import VOC
from vjo_train.errors import ConfigError
from vjo_train.heads.base import Head
from vjo_train.heads.label_space import LabelSpace
from vjo_train.heads.merged import Merged
from vjo_train.heads.parts import head_name, own_parameters
from vjo_train.heads.self_supervised.base import SelfSupervised
from vjo_train.optim.optimizers import Optimizer
from vjo_train.runs import run_folder
from vjo_train.schedules.joint import Joint
from vjo_train.training import checkpoints
from vjo_train.training.exported import ExportedModule
from vjo_train.training.job import Job, Test
from vjo_train.training.module import MultiTaskModule
from vjo_train.types import usual_stride
from vjo_train.weighting.base import LossWeighting, Weighting
from vjo_train.weighting.gradients import GradientWeighting


def job(cfg: DictConfig, output: Path, *, restored: bool = False) -> Job:
    """Everything that a run of `cfg` needs, built and connected; `restored` as in `model`.

    Raises:
        VjoError: a mistake in the config.
    """
    pl.seed_everything(cfg.seed, verbose=False)
    data = datamodule(cfg)
    _ = data.generate or data.download or data.root  # a wrong folder is told before the network is built
    module = model(cfg, restored=restored)
    module.views_per_step = {task: helper.images or data.batch_size for task, helper in module.helpers.items()}
    planned = {task: needs(node) for task, node in cfg.heads.items() if not run_folder.self_supervised(node)}
    data.set_tasks(
        {task: module.head(task).needs for task in module.goals},
        make(cfg.schedule, tasks=tuple(planned)),
        planned=planned,
        keep_unlabelled=any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in module.modules()),
        meta_tasks=list(dict.fromkeys(map(head_name, module.weighting.meta_tasks))),
        meta_every=module.weighting.meta_every,
        unlabelled_per_step=0 if module.semi is None else module.semi.images or data.batch_size,
        pictures_per_step=max(module.views_per_step.values(), default=0),
    )
    return Job(
        module=module,
        data=data,
        loggers=[make(cfg.logger)] if "_target_" in (cfg.get("logger") or {}) else [],
        insights=[make(node, output=output) for node in (cfg.get("insight") or {}).values()],
        **_common(cfg, output),
    )


def test(cfg: DictConfig, output: Path, module: ExportedModule) -> Test:
    """Everything that the test of an exported file needs, whose own arithmetic decides how exact it is.

    Raises:
        VjoError: a mistake in the config.
    """
    data = datamodule(cfg)
    data.set_tasks({task: module.head(task).needs for task in module.tasks}, Joint(tasks=module.tasks))
    made = Test(module=module, data=data, loggers=[], **_common(cfg, output))
    made.settings = replace(made.settings, accelerator="cpu", devices=1, num_nodes=1, precision="32-true")
    return made


def _common(cfg: DictConfig, output: Path) -> dict[str, Any]:
    return {
        "settings": make(cfg.trainer),
        "output": output,
        "seed": cfg.seed,
        "config": OmegaConf.to_container(cfg, resolve=True),
        "overrides": list(HydraConfig.get().overrides.task) if HydraConfig.initialized() else [],
    }


def needs(head: DictConfig) -> frozenset[str]:
    """The kinds of label that make an image labelled for a head, which need not be built; none make it themselves."""
    kind = get_class(head._target_)
    assert issubclass(kind, Head)
    return frozenset() if issubclass(kind, SelfSupervised) else kind.needs


def datamodule(cfg: DictConfig) -> DataModule:
    """The data set of `cfg`, not yet bound to tasks."""
    data = make(cfg.dataset, seed=cfg.seed)
    assert isinstance(data, DataModule)
    return data


def source(dataset: DictConfig) -> Source:
    """The layout of a data set on disk; the devkit's where its config names none."""
    node = dataset.get("source")
    made = VOC() if node is None else make(node)
    assert isinstance(made, Source)
    return made


def model(cfg: DictConfig, *, restored: bool = False) -> MultiTaskModule:
    """The network of `cfg` with its weighting, from random or given backbone weights.

    Args:
        cfg: the composed config.
        restored: a checkpoint will fill all weights, so that `backbone.weights` need not be there any more.

    Raises:
        ConfigError: no heads, or parts that do not fit each other.
    """
    return model_on(cfg, pyramid(cfg, restored))


@dataclass
class Pyramid:
    """Backbone and neck."""

    backbone: FeatureNet
    neck: nn.Module

    @property
    def channels(self) -> dict[str, int]:
        """Of every level of both."""
        return {**self.backbone.channels, **self.neck.channels}  # type: ignore[dict-item]

    @property
    def strides(self) -> dict[str, int]:
        """Of every level of both: pixels of the canvas per cell."""
        return {level: self.backbone.strides.get(level, usual_stride(level)) for level in self.channels}


def pyramid(cfg: DictConfig, restored: bool) -> Pyramid:
    """The backbone and neck of `cfg`; `restored` as in `model`."""
    backbone = _backbone(cfg.backbone, restored, cfg.get("start_from") is not None)
    return Pyramid(backbone, make(cfg.neck, in_channels=backbone.channels))


def model_on(cfg: DictConfig, pyramid: Pyramid) -> MultiTaskModule:
    """The network of `cfg` on a backbone and neck that are there, as `pyramid` gives them.

    Raises:
        ConfigError: as `model`.
    """
    if not cfg.heads:
        raise ConfigError("heads: found none; choose at least one, such as heads=[classification,detection].")
    branches = heads(cfg, pyramid.channels, pyramid.strides, run_folder.trained_tasks(cfg))
    check_neck(pyramid.backbone.strides, {task: head.levels for task, head in branches.items()})
    difficulty = {task: head.difficulty for task, head in branches.items()}
    sharing = make(
        cfg.sharing,
        backbone=pyramid.backbone,
        neck=pyramid.neck,
        levels={task: head.levels for task, head in branches.items()},
        **wanted(cfg.sharing, difficulty=difficulty, absent=[task for task in cfg.heads if task not in branches]),
    )
    helpers = tuple(task for task, head in branches.items() if isinstance(head, SelfSupervised))
    weights = weighting(cfg.weighting, tuple(own_parameters(branches)), pyramid.channels["c5"], helpers)
    if not sharing.tasks_meet and isinstance(weights, GradientWeighting) and weights.at == "features":
        raise ConfigError(
            f"weighting.at: found features, where the gradients of different tasks never meet under "
            f"{type(sharing).__name__}; use parameters or last_shared."
        )
    optimizer: Optimizer = make(cfg.optimizer)
    module = MultiTaskModule(
        sharing=sharing,
        heads=branches,
        weighting=weights,
        optimizer=optimizer,
        lr_schedule=make(cfg.lr_schedule),
        seed=cfg.seed,
        channels_last=cfg.trainer.channels_last,
    )
    module.merged, module.channels = merged(cfg, branches), pyramid.channels
    module.semi = make(cfg.semi) if cfg.get("semi") else None
    optimizer.check(module)
    return module


def heads(
    cfg: DictConfig, channels: Mapping[str, int], strides: Mapping[str, int], tasks: Sequence[str]
) -> dict[str, Head]:
    """The heads of `tasks`, untrained.

    Args:
        cfg: the config.
        channels: of every level of the pyramid.
        strides: of every level.
        tasks: some of `cfg.heads`.

    Raises:
        ConfigError: a mistake in a head's keys, or a level that is not there.
    """
    known = list(cfg.dataset.classes)
    made = {}
    for task in tasks:
        keys = OmegaConf.masked_copy(cfg.heads[task], [key for key in cfg.heads[task] if key != CLASSES])
        names = list(cfg.heads[task].get(CLASSES) or known)
        made[task] = make(keys, **wanted(keys, channels=channels, strides=strides, num_classes=len(names)))
        made[task].space = LabelSpace(names, known)
    for task, head in made.items():
        for level in head.levels:
            if level not in channels:
                raise ConfigError(f"heads.{task}: reads level {level}; backbone and neck give {', '.join(channels)}.")
    return made


def merged(cfg: DictConfig, branches: Mapping[str, Head]) -> dict[str, Merged]:
    """What `cfg.merge` makes of the heads; what takes one of `cfg.heads` that is not built is left out.

    Raises:
        ConfigError: a head that is not there, or of another kind.
    """
    made: dict[str, Merged] = {}
    for name, node in (cfg.get("merge") or {}).items():
        if name in cfg.heads:
            raise ConfigError(f"merge.{name}: a head has this name; rename one of them.")
        needed = [value for value in node.values() if value in cfg.heads]
        if all(task in branches for task in needed):
            made[str(name)] = make(node, heads=dict(branches))
    return made


def start_columns(module: MultiTaskModule, cfg: DictConfig) -> None:
    """Fills the columns and heads that `sharing.columns_from` names, from runs that trained their tasks alone.

    Raises:
        ConfigError: one is no such run.
        CheckpointError: it has no checkpoint, or that of another network.
    """
    sharing = module.sharing
    for task, folder in sharing.columns_from.items():
        path = run_folder.column(Path(folder), task, cfg)
        checkpoints.restore_column(sharing.column(task), module.head(task), task, path)


def _backbone(node: DictConfig, restored: bool, started: bool) -> Any:
    if "weights" not in node:
        return make(node)
    if not restored:
        check_norm(node.get("norm"), node.weights, started)
    return make(node, weights=None if restored else node.weights)


def weighting(node: DictConfig, tasks: tuple[str, ...], channels: int, helpers: tuple[str, ...] = ()) -> Weighting:
    """The weighting of `node`; where its key `losses` names a loss weighting, that one goes under it.

    Args:
        node: of the config.
        tasks: the names of the heads.
        channels: of the features that sum up an image, for a weighting that looks at them.
        helpers: the self-supervised ones among the tasks.

    Raises:
        ConfigError: `weighting.losses` names no loss weighting.
    """
    if not isinstance(inner := node.get("losses"), str):
        return make(node, tasks=tasks, **wanted(node, channels=channels, helpers=helpers))  # type: ignore[no-any-return]
    folder = resources.files("vjo_train.conf") / "weighting"
    choices = sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml"))
    losses = None
    if inner in choices:
        chosen = OmegaConf.create((folder / f"{inner}.yaml").read_text())
        losses = make(OmegaConf.create({"seed": node.get("seed", 0), "losses": chosen}).losses, tasks=tasks)
    if not isinstance(losses, LossWeighting):
        near = get_close_matches(inner, choices, n=1)
        hint = f"; did you mean '{near[0]}'?" if near and near[0] != inner else "."
        raise ConfigError(f"weighting.losses: found '{inner}', which is no loss weighting{hint}")
    return make(node, tasks=tasks, losses=losses)  # type: ignore[no-any-return]
