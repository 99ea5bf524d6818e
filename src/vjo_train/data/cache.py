"""Where files are kept that can be made again."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_folder(chosen: str | None) -> Path:
    """`chosen` if given, else the environment variable VJO_CACHE, else `vjo-train` in the platform's cache folder."""
    if chosen is not None:
        return Path(chosen).expanduser()
    if named := os.environ.get("VJO_CACHE"):
        return Path(named).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "vjo-train"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", str(Path.home() / "AppData" / "Local"))) / "vjo-train"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vjo-train"
