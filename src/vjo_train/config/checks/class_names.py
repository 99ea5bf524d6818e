"""The class names of a data set for which none are given: those that its files name."""

from __future__ import annotations

import os
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from vjo_train.config.checks.config import check_data
from vjo_train.config.compose import quoted


def class_names(cfg: DictConfig) -> list[str]:
    """The override that names the classes of `cfg.dataset`, where its `classes` is null; else none.

    Raises:
        VjoError: the data set is not there, or names no classes.
    """
    data = cfg.dataset
    if "classes" not in data or data._get_node("classes") is None or OmegaConf.is_missing(data, "root"):
        return []
    if OmegaConf.is_missing(data, "classes") or data.classes is not None or data.root is None:
        return []
    check_data(cfg)
    from vjo_train.config.build import source

    layout = source(data)
    names = layout.class_names(layout.root(Path(os.path.expandvars(data.root)).expanduser()))
    return [f"dataset.classes=[{','.join(map(quoted, names))}]"]
