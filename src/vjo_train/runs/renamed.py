"""Classes that have moved since older runs were trained, so that their configs are still understood."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

MOVED = {
    "vjo_train.optimizers.": "vjo_train.optim.optimizers.",
    "vjo_train.lr_schedules.": "vjo_train.optim.lr_schedules.",
    "vjo_train.schema.": "vjo_train.config.schema.",
}
"""Start of a `_target_` -> what it is today."""


def with_current_names(cfg: DictConfig) -> DictConfig:
    """The same config with every `_target_` as it is called today."""
    renamed = OmegaConf.create(plain_with_current_names(OmegaConf.to_container(cfg, resolve=False)))
    assert isinstance(renamed, DictConfig)
    return renamed


def plain_with_current_names(node: Any) -> Any:
    """The same for a config as plain dicts and lists, such as the one in `results.json`."""
    if isinstance(node, Mapping):
        return {
            key: _current(value) if key == "_target_" else plain_with_current_names(value)
            for key, value in node.items()
        }
    return [plain_with_current_names(item) for item in node] if isinstance(node, list) else node


def _current(target: Any) -> Any:
    for old, new in MOVED.items():
        if isinstance(target, str) and target.startswith(old):
            return new + target.removeprefix(old)
    return target
