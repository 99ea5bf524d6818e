"""Which images of a data set can be used: every file is looked into before training, and the verdicts are kept."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

from vjo_train.data.decode import check_image
from vjo_train.data.deep_pictures import Span
from vjo_train.data.index import Index
from vjo_train.data.opening import plugins
from vjo_train.data.sources.base import Source
from vjo_train.data.stacks import stored
from vjo_train.errors import DataError
from vjo_train.files import locked, replacing

log = logging.getLogger(__name__)

FORMAT = 5
"""Raised when a file that passed may fail, or the other way round."""

SHOWN = 20
"""The most kinds of fault that a report lists."""


class _Look(NamedTuple):
    """A file to look into."""

    row: int
    kind: str
    """Of the label in it; empty for the picture itself."""
    path: Path
    stamp: str
    """What the verdict depends on: the file's size and time, and what is expected of it."""


def faults(
    source: Source,
    root: Path,
    index: Index,
    ids: Mapping[str, str],
    kinds: frozenset[str],
    cache: Path,
    span: Span | None = None,
) -> dict[str, str]:
    """What is wrong with images: their annotations, the pictures themselves, and the files of their labels.

    A verdict is kept in a file of the cache, and holds as long as the file it is about keeps its size and time, so
    only what is new is decoded. Several processes may ask at once: one does the work.

    Args:
        source: reads the labels.
        root: of the data set.
        index: its annotations.
        ids: image -> what names it, such as the list of a split.
        kinds: the kinds of label that are needed.
        cache: the folder of the cache.
        span: what is black and white in pictures of more than 8 bits a colour.

    Returns:
        Image -> what is wrong with it, in the order of `ids`; sound images are not in it.
    """
    rows = index.rows(list(ids))
    broken = dict(zip(index.faulty.tolist(), index.faults.tolist(), strict=True))
    found: dict[str, str] = {}
    looks: list[_Look] = []
    for (name, origin), row in zip(ids.items(), rows.tolist(), strict=True):
        if row < 0:
            found[name] = f"{origin}: lists '{name}', which has no {source.missing(name)}."
        elif row in broken:
            found[name] = broken[row]
        else:
            try:
                looks += _looks(root, index, row, kinds, span)
            except OSError as error:
                found[name] = f"{error.filename}: cannot be read ({error.strerror})."
    key = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]
    with locked(cache / f"verdicts-{key}.lock", wait=True):
        verdicts = _judge(looks, source, root, index, span, cache / f"verdicts-{key}.json")
    for look, verdict in zip(looks, verdicts, strict=True):
        if verdict:
            found.setdefault(str(index.ids[look.row]), verdict)
    return {name: found[name] for name in ids if name in found}


def report(found: dict[str, str], number: int, cache: Path) -> str:
    """All faults in one message, those of one kind in one line; a file of the cache lists them all.

    Args:
        found: as `faults` gives it.
        number: of the images that were looked at.
        cache: the folder of the cache.
    """
    kinds: dict[str, list[str]] = {}
    for fault in found.values():
        kinds.setdefault(_kind(fault), []).append(fault)
    lines = [f"  {like[0]}" + (f" (and {len(like) - 1} more like this)" if like[1:] else "") for like in kinds.values()]
    head = f"{len(found)} of the {number} images in use are faulty:"
    if len(kinds) > SHOWN or len(found) > len(kinds):
        path = cache / "faulty-images.txt"
        with replacing(path) as file:
            file.write("\n".join(found.values()).encode(errors="replace") + b"\n")
        more = f"and {len(lines) - SHOWN} other kinds; " if len(lines) > SHOWN else ""
        lines = [*lines[:SHOWN], f"  ... {more}all are listed in {path}"]
    return "\n".join([head, *lines])


def _kind(fault: str) -> str:
    """What is wrong, without the file, names in quotes and numbers."""
    where, _, what = fault.partition(": ")
    return re.sub(r"'[^']*'|(?<=\d )\([^()]*\)|-?\d[\d.]*", "*", what or where)


def _looks(root: Path, index: Index, row: int, kinds: frozenset[str], span: Span | None) -> list[_Look]:
    """The files of an image, which must be there."""
    files = [("", index.image(root, row))]
    own = [kind for kind in index.files if kind in kinds and index.labelled[kind][row]]
    files += [(kind, index.file(root, row, kind)) for kind in own]
    more = [str(values[row]) for values in index.by_image.values()]
    expected = " ".join(
        [f"{index.size(row)} {len(index.objects(row))} {len(index.classes)}", *more, *map(str, span or ())]
    )
    looks = []
    for kind, path in files:
        stat = stored(path).stat()
        looks.append(_Look(row, kind, path, f"{FORMAT} {plugins()} {stat.st_size} {stat.st_mtime_ns} {expected}"))
    return looks


def _judge(
    looks: Sequence[_Look], source: Source, root: Path, index: Index, span: Span | None, path: Path
) -> list[str]:
    """What is wrong with each file, or nothing; new verdicts are added to the file `path`."""
    kept = _read(path)
    names = [f"{look.kind}/{os.path.relpath(look.path, root)}" for look in looks]
    new = {name: look for name, look in zip(names, looks, strict=True) if kept.get(name, ("", ""))[0] != look.stamp}
    if new:
        log.info("Looking into %d files of %s.", len(new), root)
        with ThreadPoolExecutor(os.cpu_count()) as threads:  # Pillow decodes outside the interpreter's lock
            verdicts = threads.map(partial(_verdict, source, root, index, span), new.values())
            kept |= {name: (look.stamp, verdict) for (name, look), verdict in zip(new.items(), verdicts, strict=True)}
        with replacing(path) as file:
            file.write(json.dumps(kept).encode())
    return [kept[name][1] for name in names]


def _verdict(source: Source, root: Path, index: Index, span: Span | None, look: _Look) -> str:
    try:
        if look.kind:
            source.read(root, index, look.row, look.kind)
        else:
            check_image(look.path, index.size(look.row), span)
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
