"""Files of a format, known by their endings and by what they begin with, wherever they lie."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path


def format_files(root: Path, endings: tuple[str, ...], is_one: Callable[[Path], bool]) -> list[Path]:
    """The files below a folder that are of a format, sorted; hidden ones are left out.

    A source is asked for its files many times: a file is looked into again only where its size or time has changed.

    Args:
        root: the folder.
        endings: of their names, in small letters, such as `.json`; names may have them in any case.
        is_one: looks into a file.
    """
    found = []
    for place, inner, names in os.walk(root):
        inner[:] = [name for name in inner if not name.startswith(".")]
        shown = (name for name in names if name.lower().endswith(endings) and not name.startswith("."))
        for path in (os.path.join(place, name) for name in shown):
            try:
                stat = os.stat(path)
            except OSError:  # a link to nowhere
                continue
            if _is_one(is_one, path, stat.st_size, stat.st_mtime_ns):
                found.append(Path(path))
    return sorted(found)


@lru_cache(1 << 17)
def _is_one(is_one: Callable[[Path], bool], path: str, size: int, changed: int) -> bool:
    return is_one(Path(path))
