"""Which image files a user means by a path, a folder or a pattern. Imports no torch."""

from __future__ import annotations

import glob
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from vjo_train.data.sources.pictures import EXTENSIONS
from vjo_train.errors import ConfigError

SUFFIXES = EXTENSIONS | {".jpe", ".gif", ".pbm"}
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
        text: a file; a folder, searched to the bottom, hidden files and folders left out; a pattern with `*`, `?`,
            `[..]` and `**`; or a text file (`.txt`) with a path in each line, from the current folder or its own.
        output: a folder whose content is no source, where it lies inside a folder that is searched.

    Raises:
        ConfigError: there is no such file.
    """
    path = Path(text).expanduser()
    if path.is_dir():
        found = visible_files(path, output, SUFFIXES)
    elif path.is_file() and path.suffix.lower() == ".txt":
        found = _listed(path)
    else:
        given = [path] if path.is_file() else [Path(file) for file in glob.glob(str(path), recursive=True)]
        found = [file for file in given if file.is_file()]
    if not found:
        what = "a folder without images" if path.is_dir() else "which is no file, no folder and matches no file"
        kinds = f" ({', '.join(sorted(SUFFIXES))})" if path.is_dir() else ""
        raise ConfigError(
            f"source: found '{text}', {what}; must be an image, a folder of images{kinds}, a pattern, a video or a"
            " camera's number."
        )
    return named(sorted(set(found)), path if path.is_dir() else None)


def _listed(file: Path) -> list[Path]:
    """The files that a list names; one that is not there stays among them, to be told.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"source: {file} cannot be read ({error}); must be a text file of paths.") from error
    paths = [Path(line).expanduser() for line in lines if line]
    return [path.absolute() if path.is_file() else file.parent.absolute() / path for path in paths]


def visible_files(folder: Path, output: Path | None, suffixes: Collection[str]) -> list[Path]:
    """The files below a folder that have one of the suffixes, in any case; hidden ones and those in `output` not."""
    found = [
        file
        for file in folder.rglob("*")
        if file.suffix.lower() in suffixes
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
        and file.is_file()
    ]
    if output is None:
        return found
    inner, own = output.resolve(), folder.resolve()
    if inner == own or not inner.is_relative_to(own):
        return found
    return [file for file in found if not (own / file.relative_to(folder)).is_relative_to(inner)]


def named(paths: Sequence[Path], base: Path | None = None) -> list[Source]:
    """Gives files names by their paths below `base`; None: below the folder that all have in common."""
    if base is None and paths:
        base = Path(os.path.commonpath([path.parent for path in paths]))
    files = [path if base is None else path.relative_to(base) for path in paths]
    stems = [file.with_suffix("").as_posix() for file in files]
    if len({stem.casefold() for stem in stems}) < len(stems):  # some file systems take A and a for one name
        stems = [file.as_posix() for file in files]
    return [Source(path, file.as_posix(), stem) for path, file, stem in zip(paths, files, stems, strict=True)]
