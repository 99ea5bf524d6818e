"""What COCO's layouts share: a JSON file for each split."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from vjo_train.data.sources.base import Source
from vjo_train.data.sources.coco import layout
from vjo_train.data.sources.split_names import meant, split_in
from vjo_train.data.sources.unlisted import made
from vjo_train.data.sources.voc.layout import listing, nearest
from vjo_train.errors import DataError


class JsonFiles(Source):
    """Its splits are the files. The images of one file alone, whose name says no split, are shared out among train and
    val, 8 : 1, by a hash of their names.

    Args:
        annotations: split -> its JSON file below the root, in the place of those that are found.
        images: split -> the folder of its pictures below the root, in the place of the one that is found.
    """

    def __init__(
        self, *, annotations: Mapping[str, str] | None = None, images: Mapping[str, str] | None = None
    ) -> None:
        self.annotations, self.images = dict(annotations or {}), dict(images or {})

    @abstractmethod
    def parts(self, root: Path) -> list[layout.Part]:
        """The splits of a data set.

        Raises:
            DataError: a key names what is not there, or a file is no such JSON.
        """

    def splits(self, root: Path) -> list[str]:
        parts = self.parts(root)
        return [*(part.split for part in parts), *self._shared(parts)]

    def has_split(self, root: Path, split: str) -> bool:
        return len(meant(split, self.splits(root))) == 1

    def split(self, root: Path, split: str) -> list[str]:
        parts = self.parts(root)
        shared = self._shared(parts)
        part = parts[0] if split in shared else layout.named(parts, split)
        if not part.names:
            raise DataError(f"{part.file}: the split '{split}' is empty; it must list at least one image.")
        if not any(os.path.isfile(root / part.picture(name)) for name in part.names):
            raise DataError(
                f"{part.file}: found none of its {len(part.names)} pictures, such as {part.picture(part.names[0])};"
                f" dataset.source.images={{{part.split}: FOLDER}} says where they are."
            )
        return shared[split] if split in shared else layout.ids(parts)[parts.index(part)]

    def unlisted(self, root: Path) -> dict[str, list[str]]:
        return self._shared(self.parts(root))

    def split_name(self, root: Path, split: str) -> str:
        parts = self.parts(root)
        return str((parts[0] if split in self._shared(parts) else layout.named(parts, split)).file)

    def _shared(self, parts: list[layout.Part]) -> dict[str, list[str]]:
        """Split -> its images, where there is one file, which no key names, and its name says none."""
        alone = len(parts) == 1 and not self.annotations and not split_in(parts[0].split)
        return made({"test": ()}, layout.ids(parts)[0]) if alone else {}


def check_classes(root: Path, classes: Sequence[str], names: Collection[str]) -> None:
    """Checks class names against those of the categories.

    Raises:
        DataError: one is no category.
    """
    for name in classes:
        if name not in names:
            allowed = f"{nearest(name, sorted(names))}; allowed are {listing(sorted(names))}"
            raise DataError(f"dataset.classes: found '{name}', which no category of {root} is called{allowed}.")
