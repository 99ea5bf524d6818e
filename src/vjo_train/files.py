"""Files that are either whole or absent, also after a crash, and locks between processes. Imports no torch."""

from __future__ import annotations

import errno
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

log = logging.getLogger(__name__)

LOCK = ".lock"
"""The lock file of a folder that one process has to itself."""
NO_SPACE = (errno.ENOSPC, errno.EDQUOT) if hasattr(errno, "EDQUOT") else (errno.ENOSPC,)
"""The numbers of the OSError of a full disk."""
_DRAFT = ".tmp"
_HELD = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
_UNKNOWN = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextmanager
def replacing(path: Path, backup: Path | None = None) -> Iterator[IO[bytes]]:
    """A file beside `path` to write to; at the end of the block it is synced to the disk and takes `path`'s place.

    After an error in the block, or a crash at any moment, `path` holds what it held before, or, at worst and only
    where there is a `backup`, `backup` does. The folder is made if missing.

    Args:
        path: the file to replace or make.
        backup: where what `path` held is kept.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=_DRAFT)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())  # mkstemp's files are private
        if backup is not None and path.exists():
            path.replace(backup)
        temporary.replace(path)
        _sync(path.parent)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def remove_drafts(folder: Path) -> None:
    """Deletes what killed processes left of files that they were writing in a folder, to the bottom.

    Nobody may be writing there; a folder inside that has a lock file of its own is another process's, and stays.
    """
    for place, inner, names in os.walk(folder):
        inner[:] = [name for name in inner if not os.path.lexists(os.path.join(place, name, LOCK))]
        for name in names:
            if name.startswith(".") and name.endswith(_DRAFT):
                Path(place, name).unlink(missing_ok=True)


@contextmanager
def locked(path: Path, wait: bool) -> Iterator[bool]:
    """Holds the lock of a file, which is made if missing and stays; yields whether the lock was got.

    It ends with the process, however that ends, and child processes do not inherit it. On a file system without
    locks it always seems to be free; the log says so.

    Args:
        path: the file.
        wait: until another process gives it back; otherwise False is yielded at once where another one holds it.

    Raises:
        OSError: the file cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            _lock(handle, wait)
        except OSError as error:
            if error.errno not in (*_HELD, *_UNKNOWN):
                raise
            if error.errno in _UNKNOWN:
                log.warning("%s: the file system knows no locks; let no other process work there.", path)
            yield error.errno in _UNKNOWN
        else:
            yield True
    finally:
        os.close(handle)


def _lock(handle: int, wait: bool) -> None:
    if sys.platform == "win32":
        msvcrt.locking(handle, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
    else:
        fcntl.lockf(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)


def _sync(folder: Path) -> None:
    """Makes the names in a folder survive a power failure."""
    if sys.platform == "win32":
        return  # folders cannot be opened there
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_atomically(path: Path, content: str | bytes) -> None:
    """Writes beside `path` (text as UTF-8) and then moves it into place, so that no reader meets half a file."""
    with replacing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)
