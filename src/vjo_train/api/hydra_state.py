"""The config that Hydra has of this process, put back as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hydra.core.hydra_config import HydraConfig


@contextmanager
def kept_config() -> Iterator[None]:
    """Puts back the config that Hydra has of this process, such as that of a user's own `hydra.main`."""
    config = HydraConfig.instance()
    before = config.cfg
    try:
        yield
    finally:
        config.cfg = before
