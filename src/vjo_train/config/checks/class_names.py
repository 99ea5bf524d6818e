"""The class names of a data set and of heads for which none are given: those that the data set's files name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from vjo_train.config.checks.config import check_data, check_schema
from vjo_train.config.compose import quoted
from vjo_train.config.conformity import check_node, takes_classes
from vjo_train.config.schema import DataConfig, TrainConfig
from vjo_train.errors import ConfigError


def class_names(cfg: DictConfig) -> list[str]:
    """The overrides that name the classes of `cfg.dataset`, where its `classes` is null; else none.

    Heads without classes of their own are given those that the labels of their kinds may name, where these are fewer.

    Raises:
        VjoError: the data set is not there, or names no classes.
    """
    data = cfg.dataset
    if any(OmegaConf.is_missing(data, key) for key in ("root", "classes")):
        return []
    drawn = bool(data.get("generate"))
    if "classes" not in data or data.classes is not None or (data.get("root") is None and not drawn):
        return []
    check_data(cfg)
    check_node(data.get("source"), "dataset.source")
    from vjo_train.config.build import needs, source

    layout = source(data)
    # What is drawn need not be there yet: its names are always the same.
    root = Path() if drawn else layout.root(Path(os.path.expandvars(data.root)).expanduser())
    names = layout.class_names(root)
    added = [f"dataset.classes={_listed(names)}"]
    for task, head in (cfg.get("heads") or {}).items():
        if "_target_" in head and head.get("classes") is None and takes_classes(head):
            known = {kind.name for kind in layout.kinds}
            of_kinds = [set(layout.class_names_of(root, kind)) for kind in needs(head) & known]
            own = [name for name in names if all(name in some for some in of_kinds)]
            if not own:
                kinds = " and ".join(sorted(needs(head) & known))
                raise ConfigError(f"heads.{task}: the data set names nothing for labels of the kind {kinds}.")
            added += [f"++heads.{task}.classes={_listed(own)}"] if own != names else []
    return added


def check_without_names(cfg: DictConfig, root: type[TrainConfig] | type[DataConfig]) -> None:
    """The schema of a config whose classes the data set is still to name: what is wrong besides is told at once, and
    not after the imports that reading the data takes.

    Raises:
        ConfigError: see `check_schema`.
    """
    if "classes" in cfg.dataset and not OmegaConf.is_missing(cfg.dataset, "classes") and cfg.dataset.classes is None:
        named = cfg.copy()
        named.dataset.classes = ["any"]
        check_schema(named, root)


def _listed(names: Sequence[str]) -> str:
    return f"[{','.join(map(quoted, names))}]"
