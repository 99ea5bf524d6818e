"""Where Hydra finds configs, for many compositions in one process."""

from __future__ import annotations

import copy
from typing import Any

from hydra._internal.config_repository import ConfigRepository
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigResult

_READ: dict[tuple[str, str], ConfigResult | None] = {}
"""(package, path in it) -> what the file holds."""


class KeptRepository(ConfigRepository):
    """Reads each file of a package once, and copies none of Hydra's own settings: half the time of a composition.

    The user's own files are read each time.
    """

    def load_config(self, config_path: str) -> ConfigResult | None:
        source = self._find_object_source(config_path=config_path, object_type=ObjectType.CONFIG)
        if source is None or source.scheme() != "pkg":
            return super().load_config(config_path)
        place = (source.path, config_path)
        if place not in _READ:
            _READ[place] = super().load_config(config_path)
        return copy.deepcopy(_READ[place])  # a composition takes parts of it and changes them

    def __deepcopy__(self, memo: dict[int, Any]) -> KeptRepository:
        """Hydra copies it for each composition, which may give the copy other sources."""
        return copy.copy(self)
