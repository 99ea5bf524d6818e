"""Which images of a data set can be used: every file is looked into before training, and the verdicts are kept."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from vjo_train.data import voc
from vjo_train.data.decode import check_image, read_mask
from vjo_train.data.index import Index
from vjo_train.errors import DataError
from vjo_train.files import locked, replacing

log = logging.getLogger(__name__)

FORMAT = 1
"""Raised when a file that passed may fail, or the other way round."""

SHOWN = 20
"""The most faults that a report lists."""


class _Look(NamedTuple):
    """A file to look into."""

    row: int
    folder: str
    path: Path
    size: tuple[int, int]
    """(height, width) that it must have."""
    highest: int
    """The greatest index allowed in a mask."""
    stamp: str
    """What the verdict depends on: the file's size and time, and what is expected of it."""


def faults(root: Path, index: Index, ids: Mapping[str, Path], masks: frozenset[str], cache: Path) -> dict[str, str]:
    """What is wrong with images: their annotations, the pictures themselves, and their masks.

    A verdict is kept in a file of the cache, and holds as long as the file it is about keeps its size and time, so
    only what is new is decoded. Several processes may ask at once: one does the work.

    Args:
        root: the folder that holds `JPEGImages/`.
        index: its annotations.
        ids: image -> the list that names it.
        masks: which masks are needed, of `semantic` and `masks`.
        cache: the folder of the cache.

    Returns:
        Image -> what is wrong with it, in the order of `ids`; sound images are not in it.
    """
    rows = index.rows(list(ids))
    broken = dict(zip(index.faulty.tolist(), index.faults.tolist(), strict=True))
    found: dict[str, str] = {}
    looks: list[_Look] = []
    for (name, source), row in zip(ids.items(), rows.tolist(), strict=True):
        if row < 0:
            found[name] = f"{source}: lists '{name}', which has no {voc.ANNOTATIONS}/{name}.xml."
        elif row in broken:
            found[name] = broken[row]
        else:
            try:
                looks += _looks(root, index, row, masks)
            except OSError as error:
                found[name] = f"{error.filename}: cannot be read ({error.strerror})."
    key = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]
    with locked(cache / f"verdicts-{key}.lock", wait=True):
        verdicts = _judge(looks, root, cache / f"verdicts-{key}.json")
    for look, verdict in zip(looks, verdicts, strict=True):
        if verdict:
            found.setdefault(str(index.ids[look.row]), verdict)
    return {name: found[name] for name in ids if name in found}


def report(found: dict[str, str], number: int, cache: Path) -> str:
    """All faults in one message; a long list goes on in a file of the cache.

    Args:
        found: as `faults` gives it.
        number: of the images that were looked at.
        cache: the folder of the cache.
    """
    lines = [f"  {fault}" for fault in found.values()]
    head = f"{len(found)} of the {number} images in use are faulty:"
    if len(lines) > SHOWN:
        path = cache / "faulty-images.txt"
        with replacing(path) as file:
            file.write("\n".join(found.values()).encode(errors="replace") + b"\n")
        lines = [*lines[:SHOWN], f"  ... and {len(lines) - SHOWN} more; all are listed in {path}"]
    return "\n".join([head, *lines])


def _looks(root: Path, index: Index, row: int, masks: frozenset[str]) -> list[_Look]:
    """The files of an image, which must be there."""
    name, annotation = str(index.ids[row]), index.annotation(row)
    files = [(voc.IMAGES, "jpg", 0)]
    if "semantic" in masks and index.has_semantic[row]:
        files.append((voc.CLASS_MASKS, "png", len(index.classes)))
    if "masks" in masks and index.has_masks[row]:
        files.append((voc.OBJECT_MASKS, "png", len(annotation.labels)))
    looks = []
    for folder, suffix, highest in files:
        path = root / folder / f"{name}.{suffix}"
        stat = path.stat()
        stamp = f"{FORMAT} {stat.st_size} {stat.st_mtime_ns} {annotation.size} {highest}"
        looks.append(_Look(row, folder, path, annotation.size, highest, stamp))
    return looks


def _judge(looks: Sequence[_Look], root: Path, path: Path) -> list[str]:
    """What is wrong with each file, or nothing; new verdicts are added to the file `path`."""
    kept = _read(path)
    names = [f"{look.folder}/{look.path.name}" for look in looks]
    new = {name: look for name, look in zip(names, looks, strict=True) if kept.get(name, ("", ""))[0] != look.stamp}
    if new:
        log.info("Looking into %d files of %s.", len(new), root)
        with ThreadPoolExecutor(os.cpu_count()) as threads:  # Pillow decodes outside the interpreter's lock
            verdicts = threads.map(_verdict, new.values())
            kept |= {name: (look.stamp, verdict) for (name, look), verdict in zip(new.items(), verdicts, strict=True)}
        with replacing(path) as file:
            file.write(json.dumps(kept).encode())
    return [kept[name][1] for name in names]


def _verdict(look: _Look) -> str:
    try:
        if look.folder == voc.IMAGES:
            check_image(look.path, look.size)
        else:
            read_mask(look.path, look.size, look.highest, voc.INDICES[look.folder])
    except DataError as error:
        return str(error)
    return ""


def _read(path: Path) -> dict[str, tuple[str, str]]:
    """The verdicts that were kept; none where the file is missing or unreadable."""
    try:
        return {name: (stamp, verdict) for name, (stamp, verdict) in json.loads(path.read_bytes()).items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        log.warning("%s is unreadable (%s): looking into the files again.", path, error)
        return {}
