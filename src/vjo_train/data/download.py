"""Fetches PASCAL VOC 2007: resumes a broken download, checks it, unpacks it safely."""

from __future__ import annotations

import hashlib
import http.client
import logging
import os
import shutil
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from vjo_train.data.sources.voc import layout
from vjo_train.errors import DataError

log = logging.getLogger(__name__)

_CHUNK = 1 << 20
_TIMEOUT = 30.0
_ATTEMPTS = 4


@dataclass(frozen=True)
class Archive:
    """A tar file to fetch.

    Attributes:
        url: where it lies.
        md5: its checksum, as published.
        proof: a file that is there once the archive is unpacked.
    """

    url: str
    md5: str
    proof: str

    @property
    def name(self) -> str:
        """The file name."""
        return self.url.rsplit("/", 1)[-1]


_HOST = "http://host.robots.ox.ac.uk/pascal/VOC/voc2007"

VOC2007 = (
    Archive(
        url=f"{_HOST}/VOCtrainval_06-Nov-2007.tar",
        md5="c52e279531787c972589f7e41ab4ae64",
        proof="VOCdevkit/VOC2007/ImageSets/Main/trainval.txt",
    ),
    Archive(
        url=f"{_HOST}/VOCtest_06-Nov-2007.tar",
        md5="b6e924de25625d8de591ea690078ad9f",
        proof="VOCdevkit/VOC2007/ImageSets/Main/test.txt",
    ),
)


def fetch(folder: Path, archives: Sequence[Archive] = VOC2007) -> None:
    """Brings the data set into `folder`, which will hold `VOCdevkit/VOC2007` (or is that `VOCdevkit`).

    What is there already is not fetched again; archives that someone placed in `folder` are used. Each archive is
    unpacked into a draft folder and moved in place when whole; it is deleted afterwards.

    Raises:
        DataError: no network, a wrong checksum, or an archive with members outside its folder; the message says
            what to place where.
    """
    base = folder.parent if folder.name == "VOCdevkit" else folder
    for archive in archives:
        if (base / archive.proof).is_file() or _lies_flat(folder, archive):
            continue
        base.mkdir(parents=True, exist_ok=True)
        path = base / archive.name
        if not path.is_file():
            download(archive, path)
        elif (found := _md5(path)) != archive.md5:
            raise DataError(
                f"{path}: found the MD5 sum {found}; must be {archive.md5}. Delete the file to fetch it anew."
            )
        unpack(path, base, archive.proof)
        path.unlink()


def download(archive: Archive, path: Path) -> None:
    """Fetches one archive to `path`, by way of `path` + `.part`, which a later call goes on with.

    Raises:
        DataError: the server cannot be reached, or what came has a wrong checksum.
    """
    part = path.with_name(path.name + ".part")
    problem = ""
    for attempt in range(_ATTEMPTS):
        before = part.stat().st_size if part.is_file() else 0
        try:
            _receive(archive.url, part)
            break
        except (OSError, http.client.HTTPException) as error:
            problem = str(getattr(error, "reason", error))
        came = (part.stat().st_size if part.is_file() else 0) - before
        if came <= 0 and attempt > 0:
            raise _unreachable(archive, path, problem)
        time.sleep(min(0.1 * 2**attempt, 2.0))
    else:
        raise _unreachable(archive, path, problem)
    found = _md5(part)
    if found != archive.md5:
        part.unlink()
        raise DataError(f"{archive.url}: what came has the MD5 sum {found}; must be {archive.md5}. It was deleted.")
    os.replace(part, path)


def unpack(path: Path, folder: Path, proof: str) -> None:
    """Unpacks a tar file into `folder`, merging with what is there; the file `proof` comes last.

    Raises:
        DataError: it is damaged, or a member is absolute, leads outside, or is neither file nor folder.
    """
    draft = Path(tempfile.mkdtemp(prefix=f"{path.name}.", suffix=".tmp", dir=folder))
    try:
        log.info("Unpacking %s.", path)
        with tarfile.open(path) as tar:
            for member in tar:
                name = PurePosixPath(member.name)
                if name.is_absolute() or ".." in name.parts or not (member.isfile() or member.isdir()):
                    raise DataError(
                        f"{path}: found the member '{member.name}'; only files and folders below are allowed."
                    )
                tar.extract(member, draft, filter="data")
        _merge(draft, folder, proof)
    except (tarfile.TarError, EOFError) as error:
        raise DataError(f"{path}: damaged ({error}); must be a whole tar file. Delete it to fetch it anew.") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _lies_flat(folder: Path, archive: Archive) -> bool:
    """Whether `folder` is itself the year's folder, with the archive's files in it."""
    return (folder / layout.SPLITS / PurePosixPath(archive.proof).name).is_file()


def _receive(url: str, part: Path) -> None:
    """Appends to `part` what is missing of it; starts anew where the server sends the whole file."""
    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing is missing, or the part is longer than the file: the checksum tells
            return
        raise
    with response, part.open("ab" if response.status == 206 else "wb") as file:
        log.info("Fetching %s%s.", url, f" from byte {have} on" if response.status == 206 else "")
        expected = response.headers.get("Content-Length")
        received = 0
        while chunk := response.read(_CHUNK):
            file.write(chunk)
            received += len(chunk)
    if expected is not None and received < int(expected):
        raise ConnectionError(f"the connection broke after {received} of {expected} bytes")


def _merge(draft: Path, folder: Path, proof: str) -> None:
    """Moves all files of `draft` to their places below `folder`, `proof` last: where it is, the others are."""
    files = [path for path in draft.rglob("*") if path.is_file()]
    for path in sorted(files, key=lambda path: path == draft / proof):
        target = folder / path.relative_to(draft)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, target)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _unreachable(archive: Archive, path: Path, problem: str) -> DataError:
    return DataError(
        f"{archive.url}: could not be fetched ({problem}). Fetch it elsewhere and place it at {path}, or give "
        "dataset.root a folder with the unpacked VOCdevkit; a started download goes on at the next run."
    )
