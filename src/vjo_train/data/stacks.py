"""Pictures that lie in one array: `images.npy/17` is picture 17 of it, `set.npz/train_images/17` that of a member."""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from functools import lru_cache
from pathlib import Path
from threading import Lock
from tokenize import TokenError
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vjo_train.errors import DataError

SPLIT = "{split}"
NPY, NPZ = ".npy", ".npz"
_MEMBER = re.compile(r"(.+\.npz)/([^/]+)", re.IGNORECASE)
BROKEN = (
    *(OSError, ValueError, TypeError, EOFError, OverflowError, SyntaxError, TokenError, KeyError, MemoryError),
    *(NotImplementedError, zipfile.BadZipFile, zlib.error, struct.error),
)
"""What NumPy raises for a damaged file."""
LOOKED_AT = 16
"""Pictures of an array that say whether its white is 1 or 255."""


class Place(NamedTuple):
    """Where a picture lies."""

    file: Path
    member: str
    """Of an `.npz` file; empty for `.npy`."""
    number: int
    """In the array, from 0."""


def place_in(path: Path | str) -> Place | None:
    """The place that a path means; None for a file of its own."""
    parts = Path(path)
    if not parts.name.isdecimal():
        return None
    if parts.parent.suffix.lower() == NPY:
        return Place(parts.parent, "", int(parts.name))
    if parts.parent.parent.suffix.lower() == NPZ:
        return Place(parts.parent.parent, parts.parent.name, int(parts.name))
    return None


def divided(name: str) -> tuple[str, str]:
    """An array by its file and its member: `set.npz/train_images`, or `images.npy` and nothing."""
    match = _MEMBER.fullmatch(name)
    return (match[1], match[2]) if match else (name, "")


def named(root: Path, pattern: str) -> dict[str, str]:
    """Split, or nothing where the pattern has none -> its array, below the root, sorted.

    Args:
        root: of the data set.
        pattern: the name of an array, with `{split}` for that of a split, wherever it stands.
    """
    file, member = divided(pattern)
    first, *others = map(re.escape, pattern.split(SPLIT))
    form = "".join(("(?P=split)" if number else "(?P<split>.+?)") + one for number, one in enumerate(others))
    found: dict[str, str] = {}
    for path in sorted(one for one in root.glob(file.replace(SPLIT, "*")) if one.is_file()):
        below = path.relative_to(root).as_posix()
        for name in [f"{below}/{one}" for one in members(path)] if member else [below]:
            if match := re.fullmatch(first + form, name):
                found[match["split"] if others else ""] = name
    return found


def stored(path: Path) -> Path:
    """The file that holds a picture: that of its array, or its own."""
    place = place_in(path)
    return path if place is None else place.file


def item(place: Place) -> npt.NDArray[Any]:
    """[H, W] or [H, W, C]: one picture or map.

    Raises:
        DataError: as `stack`; there is no such one.
    """
    found = stack(place.file, place.member)
    if place.number >= len(found):
        raise DataError(f"{place.file}: found {len(found)} pictures; there is no number {place.number}.")
    one: npt.NDArray[Any] = found[place.number]
    return one


def white(place: Place) -> int:
    """What white is in an array of floats: 255 where some of its pictures have more than 1, else 1."""
    return _white(place.file, place.member, _changed(place.file))


def array(root: Path, name: str) -> npt.NDArray[Any]:
    """As `stack`, of an array by its name below the root."""
    file, member = divided(name)
    return stack(root / file, member)


def stack(file: Path, member: str) -> npt.NDArray[Any]:
    """[N, ...]: an array, not yet read of `.npy`, and in memory of `.npz`, which can only be unpacked as a whole.

    Raises:
        DataError: the file is missing or damaged, or has no such member.
    """
    if file.exists() and not file.is_file():  # a pipe would be waited for
        raise DataError(f"{file}: is no regular file; must be an array of NumPy.")
    if not member:
        return _read(file, "")  # anew each time: a map of a file that is cut off under it would end the process
    with _LOCK:  # else each thread would unpack it
        return _unpacked(file, member, _changed(file))


_LOCK = Lock()


def members(file: Path) -> list[str]:
    """The names of the arrays in an `.npz` file, sorted.

    Raises:
        DataError: it cannot be read, or is no such file.
    """
    try:
        with np.load(file, allow_pickle=False) as found:
            return sorted(found.files)
    except (*BROKEN, AttributeError) as error:
        raise DataError(f"{file}: no .npz file ({str(error)[:80]}); must hold arrays of NumPy.") from error


def _changed(file: Path) -> tuple[int, ...]:
    """What is another one where the file is."""
    try:
        stat = file.stat()
        return stat.st_ino, stat.st_size, stat.st_mtime_ns
    except FileNotFoundError:
        raise DataError(f"{file}: the file is missing.") from None
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}); must be an array of NumPy.") from error


@lru_cache(64)  # a mixture may have many, and each is unpacked as a whole
def _unpacked(file: Path, member: str, changed: tuple[int, ...]) -> npt.NDArray[Any]:
    return _read(file, member)


def _read(file: Path, member: str) -> npt.NDArray[Any]:
    try:
        if not member:
            found: npt.NDArray[Any] = np.lib.format.open_memmap(file, mode="r")
        else:
            with np.load(file, allow_pickle=False) as members:
                found = members[member]
    except FileNotFoundError:
        raise DataError(f"{file}: the file is missing.") from None
    except BROKEN as error:
        where = f" '{member}'" if member else ""
        raise DataError(
            f"{file}: no array{where} ({str(error)[:80]}); must be one of NumPy without objects."
        ) from error
    if not found.ndim or found.dtype.hasobject:
        raise DataError(
            f"{file}: found an array of {found.dtype} of shape {list(found.shape)}; must hold one for each picture."
        )
    return found


@lru_cache(8)
def _white(file: Path, member: str, changed: tuple[int, ...]) -> int:
    found = stack(file, member)
    some = found[:: max(1, len(found) // LOOKED_AT)]
    return 255 if any(one.max(initial=0) > 1 for one in some) else 1
