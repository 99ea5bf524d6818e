"""The index of a data set on disk, from the cache where nothing has changed."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

from vjo_train.data import index as indices
from vjo_train.data.index import Index
from vjo_train.data.sources.base import Source

log = logging.getLogger(__name__)


def load_index(source: Source, root: Path, classes: Sequence[str], cache: Path) -> Index:
    """The index of the data set at `root`, from the cache where the source's stamp is as it was.

    Args:
        source: reads it.
        root: of the data set.
        classes: class names, in the order of their labels.
        cache: folder for the cache file; made if missing.

    Raises:
        DataError: there is no annotation.
    """
    root = root.resolve()
    stamp = source.stamp(root)
    asked = repr(source), str(root), list(classes)
    path = cache / f"index-{hashlib.sha256(repr(asked).encode()).hexdigest()[:16]}.npz"
    found = indices.cached(path, stamp)
    if found is not None:
        return found
    log.info("Reading the annotations of %s.", root)
    index = source.read_index(root, classes)
    indices.keep(path, index, stamp)
    return index
