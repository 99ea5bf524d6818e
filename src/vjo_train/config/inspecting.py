"""What `vjo-data` does with its composed and checked config."""

from __future__ import annotations

import logging
from pathlib import Path

from omegaconf import DictConfig

from vjo_train.config import build
from vjo_train.errors import ConfigError
from vjo_train.report import inspection, picture_page

log = logging.getLogger("vjo_train")


def inspect(cfg: DictConfig, action: str) -> int:
    """Does what `vjo-data` is asked for; draws or downloads the data set first, where it can be made.

    Args:
        cfg: the composed config of `vjo-data`.
        action: `summary`, `check`, `show` or `download`.

    Returns:
        How many faults a run would stop with; 0 where the action does not look for them.

    Raises:
        ConfigError: `download` of a data set that is neither fetched nor drawn.
        DataError: see the data set.
    """
    if action == "download" and not cfg.dataset.get("generate"):
        if "download" not in cfg.dataset:
            raise ConfigError("download: this data set can be neither fetched nor drawn; try dataset=voc2007.")
        cfg.dataset.download = True
    data = build.datamodule(cfg)
    data.prepare_data()
    output = Path(cfg.output)
    if action == "check":
        return inspection.check(data, output)
    if action == "show":
        picture_page.write(data, output)
    elif action == "summary":
        inspection.summarise(data, output)
    else:
        log.info("The data set lies in %s: %d images.", data.root, len(data.index))
    return 0
