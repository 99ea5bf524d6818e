"""Images found in folders of splits, or without any."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

from vjo_train.data.sources.base import Source
from vjo_train.data.sources.split_names import meant, without
from vjo_train.data.sources.unlisted import made
from vjo_train.errors import DataError

Parts = Mapping[str, Sequence[str]]
"""Split -> its images; all of them under the empty name where there are no folders of splits."""


class BySplit(Source):
    """A source whose images are told by split; a split may go by its other names (see `split_names.meant`)."""

    @abstractmethod
    def _parts(self, root: Path) -> Parts:
        """The images of each split."""

    def splits(self, root: Path) -> list[str]:
        return offered(self._parts(root))

    def has_split(self, root: Path, split: str) -> bool:
        return len(meant(split, self.splits(root))) == 1

    def unlisted(self, root: Path) -> dict[str, list[str]]:
        parts = self._parts(root)
        return made({}, parts[""]) if "" in parts else {}

    def split(self, root: Path, split: str) -> list[str]:
        return images_of(self._parts(root), split, root)


def offered(parts: Parts) -> list[str]:
    """The names of the splits; a made `val` is not among them: it gives way to what `dataset.val_fraction` cuts off."""
    return [name for name in made({}, parts[""]) if name != "val"] if "" in parts else list(parts)


def images_of(parts: Parts, split: str, root: Path) -> list[str]:
    """The images of a split, sorted; without folders of splits they are shared out (see `unlisted`).

    Raises:
        DataError: there is no such split below `root`.
    """
    known = made({}, parts[""]) if "" in parts else {name: sorted(images) for name, images in parts.items()}
    names = meant(split, known)
    if len(names) != 1:
        raise DataError(f"{root}: {without(split, known)}.")
    return known[names[0]]
