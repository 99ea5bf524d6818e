"""Where a run writes: a folder that is its own as long as it runs. Imports no torch."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from vjo_train.errors import ConfigError
from vjo_train.files import LOCK, locked


@dataclass(frozen=True)
class Place:
    """A run's or a sweep's folder, which need not be there yet.

    Attributes:
        key: the key that sets it, such as `hydra.run.dir`.
        folder: the folder.
        new: whether a folder that is there already belongs to another run, so that one beside it must be taken.
    """

    key: str
    folder: Path
    new: bool


@contextmanager
def reserved(place: Place) -> Iterator[Path]:
    """Makes the folder and keeps other processes out of it until the end of the block, or of this process.

    Yields:
        The folder: `place.folder`, or where another run has that, one with `_2`, `_3` ... behind its name.

    Raises:
        ConfigError: it cannot be made or written to, or another process is at work in it.
    """
    with ExitStack() as stack:
        try:
            folder = _made(place)
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(b"0")
            got = stack.enter_context(locked(folder / LOCK, wait=False))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise ConfigError(f"{place.key}: '{place.folder}' cannot be made or written to ({reason}).") from error
        if not got:
            raise ConfigError(f"{place.key}: another process is at work in '{folder}'; wait, or give another folder.")
        yield folder


def _made(place: Place) -> Path:
    if not place.new:
        place.folder.mkdir(parents=True, exist_ok=True)
        return place.folder
    names = (place.folder.name + (f"_{n}" if n > 1 else "") for n in itertools.count(1))
    for folder in map(place.folder.with_name, names):
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise AssertionError("names never end")
