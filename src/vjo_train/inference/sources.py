"""Which image files a user means by a path, a folder or a pattern. Imports no torch."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vjo_train.errors import ConfigError

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm"}
)
"""What counts as an image in a folder, in any case. A file that is named, or that a pattern matches, always counts."""


@dataclass(frozen=True)
class Source:
    """An image file and the name by which what is written for it is called."""

    path: Path
    file_name: str
    """The path below the folder that all sources have in common, with `/`."""
    name: str
    """`file_name` without its suffix; with it where two files would have the same name."""


def find_sources(text: str, output: Path | None = None) -> list[Source]:
    """The image files that `text` names, in the order of their paths.

    Args:
        text: a file; a folder, searched to the bottom, hidden files and folders left out; or a pattern with `*`, `?`,
            `[..]` and `**`.
        output: a folder whose content is no source, where it lies inside a folder that is searched.

    Raises:
        ConfigError: there is no such file.
    """
    path = Path(text).expanduser()
    if path.is_dir():
        found = [file for file in path.rglob("*") if _is_image(file, path)]
        if output is not None:
            found = _without(output.resolve(), path, found)
        base = path
    else:
        named = [path] if path.is_file() else [Path(file) for file in glob.glob(str(path), recursive=True)]
        found = [file for file in named if file.is_file()]
        base = Path(os.path.commonpath([file.parent for file in found])) if found else path
    if not found:
        what = "a folder without images" if path.is_dir() else "which is no file, no folder and matches no file"
        kinds = f" ({', '.join(sorted(SUFFIXES))})" if path.is_dir() else ""
        raise ConfigError(f"source: found '{text}', {what}; must be an image, a folder of images{kinds} or a pattern.")
    return _named(sorted(set(found)), base)


def _without(inner: Path, path: Path, found: list[Path]) -> list[Path]:
    """The files found in the folder `path` that do not lie in a folder further inside."""
    own = path.resolve()
    if inner == own or not inner.is_relative_to(own):
        return found
    return [file for file in found if not (own / file.relative_to(path)).is_relative_to(inner)]


def _is_image(file: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    return file.suffix.lower() in SUFFIXES and not hidden and file.is_file()


def _named(paths: Sequence[Path], base: Path) -> list[Source]:
    files = [path.relative_to(base) for path in paths]
    stems = [file.with_suffix("").as_posix() for file in files]
    if len({stem.casefold() for stem in stems}) < len(stems):  # some file systems take A and a for one name
        stems = [file.as_posix() for file in files]
    return [Source(path, file.as_posix(), stem) for path, file, stem in zip(paths, files, stems, strict=True)]
