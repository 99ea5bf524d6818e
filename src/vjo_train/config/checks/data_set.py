"""The command line of `vjo-data`."""

from __future__ import annotations

from vjo_train.config.checks.class_names import check_without_names, class_names
from vjo_train.config.checks.config import check_data, check_schema
from vjo_train.config.checks.places import check_writable, folder_at
from vjo_train.config.compose import Composer
from vjo_train.config.schema import DataConfig


def check_data_set(composer: Composer, overrides: list[str]) -> list[str]:
    """Composes and checks what `vjo-data` is asked for.

    Returns:
        Overrides to add: the classes, where the data set names them itself.

    Raises:
        ConfigError: a mistake in the overrides, or a data set that is not there.
    """
    unnamed = composer.compose(overrides)
    check_without_names(unnamed, DataConfig)
    added = class_names(unnamed)
    cfg = composer.compose([*overrides, *added])
    check_schema(cfg, DataConfig)
    check_data(cfg)
    check_writable(folder_at(cfg, "hydra.run.dir"), "output")
    return added
