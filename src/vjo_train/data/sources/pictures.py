"""Picture files by their names."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".heic", ".heif", ".avif"}
    | {".dcm", ".dicom"}
)
"""Of pictures, in small letters; files may have them in any case."""


def is_picture(name: str) -> bool:
    """Whether a file of that name is taken for a picture."""
    return os.path.splitext(name)[1].lower() in EXTENSIONS


def stem(name: str) -> str:
    """The file name of a picture without its extension; other names as they are."""
    return os.path.splitext(name)[0] if is_picture(name) else name


def walk(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Each folder in a folder, itself first, with the names of its files; hidden ones are left out.

    Links to folders are followed where these lie outside, each once; what lies inside comes by its own path.
    """
    known = [os.path.realpath(folder)]
    for place, inner, files in os.walk(folder, followlinks=True):
        shown = sorted(name for name in inner if not name.startswith("."))
        inner[:] = [name for name in shown if _is_new(os.path.join(place, name), known)]
        yield place, [name for name in files if not name.startswith(".")]


def _is_new(folder: str, known: list[str]) -> bool:
    """Whether a folder is none, or a link that leads neither into known ones nor around them; it is known then."""
    if not os.path.islink(folder):
        return True
    real = os.path.realpath(folder)
    if any(real in (one, os.path.commonpath([real, one])) or real.startswith(one + os.sep) for one in known):
        return False
    known.append(real)
    return True


def below(root: Path, folder: str = "") -> list[str]:
    """The pictures in a folder and below it, as of `walk`, as sorted paths below the root."""
    found: list[str] = []
    for place, files in walk(root / folder):
        here = Path(place).relative_to(root).as_posix()
        before = "" if here == "." else f"{here}/"
        found += [before + name for name in files if is_picture(name)]
    return sorted(found)


def stamp_of(root: Path, files: Iterable[str]) -> str:
    """Changes with the names, sizes and times of files below the root, and with which of them are missing."""
    digest, place = hashlib.sha256(), str(root)
    for file in files:
        try:
            stat = os.stat(os.path.join(place, file))  # a tenth of the time that a Path takes
        except OSError:  # missing, or a link to nowhere: what reads it says so
            state = "-"
        else:
            state = f"{stat.st_size}\0{stat.st_mtime_ns}"
        digest.update(f"{file}\0{state}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def bytes_of(root: Path, files: Iterable[str]) -> list[int]:
    """The size of each file below the root, -1 of those that are missing or links to nowhere."""
    return [_bytes(root / file) for file in files]


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def by_stem(names: Iterable[str]) -> dict[str, list[str]]:
    """Stem -> the pictures among `names` that have it, sorted."""
    found: dict[str, list[str]] = {}
    for name in sorted(filter(is_picture, names)):
        found.setdefault(stem(name), []).append(name)
    return found
