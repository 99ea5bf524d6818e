"""The index of a data set on disk, from the cache where nothing has changed."""

from __future__ import annotations

import hashlib
import logging
import sys
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from vjo_train.data import index as indices
from vjo_train.data.index import Index
from vjo_train.data.opening import plugins
from vjo_train.data.sources.base import Source
from vjo_train.files import locked

log = logging.getLogger(__name__)


def load_index(source: Source, root: Path, classes: Sequence[str], cache: Path) -> Index:
    """The index of the data set at `root`, from the cache where its source's stamp, code and plugins are as they were.

    The log says what was read otherwise than it is written. Of several processes that ask at once, one reads and the
    others wait: one on each machine, or one alone where the cache lies on a disk that the machines share.

    Args:
        source: reads it.
        root: of the data set.
        classes: class names, in the order of their labels.
        cache: folder for the cache file; made if missing.

    Raises:
        DataError: there is no annotation.
    """
    root = root.resolve()
    stamp = f"{source.stamp(root)} {_code(type(source))} {plugins()}"
    asked = repr(source), [kind.name for kind in source.kinds], str(root), list(classes)
    path = cache / f"index-{hashlib.sha256(repr(asked).encode()).hexdigest()[:16]}.npz"
    index = indices.cached(path, stamp)
    if index is None:
        with locked(path.with_suffix(".lock"), wait=True):
            index = indices.cached(path, stamp)
            if index is None:
                log.info("Reading the annotations of %s.", root)
                index = source.read_index(root, classes)
                indices.keep(path, index, stamp)
    _say_changes(index, root)
    return index


@lru_cache(32)
def _code(source: type[Source]) -> str:
    """Changes with the code that reads: another version of it may read the same files otherwise."""
    own = getattr(sys.modules[source.__module__], "__file__", None)
    files = [*sorted(Path(__file__).parents[1].rglob("*.py")), *([Path(own)] if own else [])]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _say_changes(index: Index, root: Path) -> None:
    """A line for each note on the data set as a whole, and one that counts those on single images."""
    for what in index.notes[index.noted < 0, 1].tolist():
        log.info("%s: %s.", root, what)
    counts = Counter(index.notes[index.noted >= 0, 0].tolist())
    if counts:
        found = ", ".join(f"{kind} ({count})" for kind, count in counts.items())
        log.warning("%s: found and mended: %s. vjo-data check lists them; no file is changed.", root, found)
