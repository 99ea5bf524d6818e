"""Files of annotations wherever they lie: by the ends of their names, and by what they begin with."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from vjo_train.data.sources.pictures import walk


def files_below(root: Path, endings: str | tuple[str, ...]) -> list[Path]:
    """The files in a folder and below it by the ends of their names, as of `walk`; sorted.

    Args:
        root: the folder.
        endings: such as `.json`; names may have them in any case.
    """
    ends = endings.lower() if isinstance(endings, str) else tuple(ending.lower() for ending in endings)
    found: list[str] = []
    for place, names in walk(root):
        found += [os.path.join(place, name) for name in names if name.lower().endswith(ends)]
    return [
        Path(path) for path in sorted(found, key=lambda path: path.split(os.sep))
    ]  # as paths are sorted, but sooner


def asked_files(root: Path, pattern: str) -> list[Path]:
    """The files that a path or pattern below a folder means, as `dataset.source.file` has it; sorted."""
    return sorted(path for path in root.glob(pattern) if path.is_file())


def format_files(root: Path, endings: tuple[str, ...], is_one: Callable[[Path], bool]) -> list[Path]:
    """Those of `files_below` that are of a format.

    A source is asked for its files many times: a file is looked into again only where its size or time has changed.

    Args:
        root: as of `files_below`.
        endings: as of `files_below`.
        is_one: looks into a file.
    """
    found = []
    for path in files_below(root, endings):
        try:
            stat = os.stat(path)
        except OSError:  # a link to nowhere
            continue
        if _is_one(is_one, path, stat.st_size, stat.st_mtime_ns):
            found.append(path)
    return found


@lru_cache(1 << 17)
def _is_one(is_one: Callable[[Path], bool], path: Path, size: int, changed: int) -> bool:
    return is_one(path)
