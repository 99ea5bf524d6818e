"""The network of a config, without what only training needs: neither this nor what it imports takes Lightning."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from vjo_train.backbones.base import FeatureNet
from vjo_train.backbones.neck import check_neck
from vjo_train.config.conformity import CLASSES
from vjo_train.config.instantiation import make, wanted
from vjo_train.config.rules import check_norm
from vjo_train.errors import ConfigError
from vjo_train.heads.base import Head
from vjo_train.heads.label_space import LabelSpace
from vjo_train.heads.merged import Merged
from vjo_train.heads.network import TaskNetwork
from vjo_train.runs import run_folder
from vjo_train.sharing.base import Sharing
from vjo_train.types import usual_stride


def network(cfg: DictConfig) -> TaskNetwork:
    """The network of a run's `cfg`, which its checkpoint will fill.

    Raises:
        ConfigError: no heads, or parts that do not fit each other.
    """
    with Unfilled():
        own = pyramid(cfg, restored=True)
        branches = all_heads(cfg, own)
        made = TaskNetwork(sharing(cfg, own, branches), branches, channels_last=cfg.trainer.channels_last)
    made.merged = merged(cfg, branches)
    return made


class Unfilled(TorchFunctionMode):
    """Inside, nothing is filled with random numbers: drawing them takes longer than reading weights from a file."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Calls all but the functions that fill a tensor."""
        return args[0] if func in (Tensor.normal_, Tensor.uniform_) else func(*args, **(kwargs or {}))


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
    """The backbone and neck of `cfg`; `restored`: a checkpoint will fill them, in place of given weights."""
    backbone = _backbone(cfg.backbone, restored, cfg.get("start_from") is not None)
    return Pyramid(backbone, make(cfg.neck, in_channels=backbone.channels))


def all_heads(cfg: DictConfig, pyramid: Pyramid) -> dict[str, Head]:
    """The heads of `cfg` on a backbone and neck, untrained.

    Raises:
        ConfigError: there are none, or one does not fit the pyramid.
    """
    if not cfg.heads:
        raise ConfigError("heads: found none; choose at least one, such as heads=[classification,detection].")
    branches = heads(cfg, pyramid.channels, pyramid.strides, run_folder.trained_tasks(cfg))
    check_neck(pyramid.backbone.strides, {task: head.levels for task, head in branches.items()})
    return branches


def sharing(cfg: DictConfig, pyramid: Pyramid, branches: Mapping[str, Head]) -> Sharing:
    """How the features of a backbone and neck reach the heads `branches`."""
    difficulty = {task: head.difficulty for task, head in branches.items()}
    made = make(
        cfg.sharing,
        backbone=pyramid.backbone,
        neck=pyramid.neck,
        levels={task: head.levels for task, head in branches.items()},
        **wanted(cfg.sharing, difficulty=difficulty, absent=[task for task in cfg.heads if task not in branches]),
    )
    assert isinstance(made, Sharing)
    return made


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


def _backbone(node: DictConfig, restored: bool, started: bool) -> Any:
    if "weights" not in node:
        return make(node)
    if not restored:
        check_norm(node.get("norm"), node.weights, started)
    return make(node, weights=None if restored else node.weights)
