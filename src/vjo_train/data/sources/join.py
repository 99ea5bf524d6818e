"""Several data sets that annotate the same pictures, such as boxes in one folder and maps in another."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated
from zlib import crc32

import numpy as np
import numpy.typing as npt
from annotated_types import Len
from torch import Tensor

from vjo_train.config import rules
from vjo_train.data.index import Index, table
from vjo_train.data.labels.classes import Classes, ShownByObjects
from vjo_train.data.objects import Objects
from vjo_train.data.placement import Unmoved
from vjo_train.data.sources.of_parts import OfParts, Read
from vjo_train.data.sources.part import Part
from vjo_train.data.sources.pictures import stem
from vjo_train.data.sources.renaming import Renaming
from vjo_train.errors import ConfigError, DataError

__all__ = ["Join", "Part"]


class Join(OfParts):
    """The pictures of all parts, each once, with the labels that the parts have of it.

    Pictures are the same where their keys are, which become their ids; the file is that of the first part that has it.
    A label comes from the first part that has one of its kind. Objects with their masks and key points come from one
    part: of those that annotate the boxes of the picture, the one that says the most of them. A picture is in the
    splits that the first part that has it says. See `OfParts`.

    Args:
        parts: name -> data set.
        key: regular expression on a picture's id in its part, without an extension, whose first group is the key; None:
            the name of the file.

    Raises:
        ConfigError: the key is no regular expression with a group; a part has a weight.
    """

    def __init__(self, *, parts: Annotated[Mapping[str, Part], Len(2)], key: str | None = None) -> None:
        super().__init__(parts=parts)
        if weighted := [name for name, part in self.parts.items() if part.weight != 1]:
            raise ConfigError(f"dataset.source.parts.{weighted[0]}.weight: found it in a join; it is for mixtures.")
        if key is not None:
            rules.check_pattern("dataset.source.key", key, "^([^_]+)_")
        self.key = key

    def split(self, root: Path, split: str) -> list[str]:
        found = self._first({name: {split: ids} for name, ids in self.split_of_parts(root, split).items()}, root)
        if not found.get(split):
            raise DataError(f"dataset.source.parts: earlier parts have every picture of '{split}' in other splits.")
        return found[split]

    def unlisted(self, root: Path) -> dict[str, list[str]]:
        return self._first(self.unlisted_of_parts(root), root)

    def _first(self, splits: Mapping[str, Mapping[str, Sequence[str]]], root: Path) -> dict[str, list[str]]:
        """Split -> keys, from part -> split -> its ids, without the pictures that an earlier part has in any split."""
        found: dict[str, list[str]] = {}
        before: set[str] = set()
        *_, last = self.parts
        for name, part in self.parts.items():
            for split, ids in splits.get(name, {}).items():
                found.setdefault(split, []).extend(key for key in map(self._key, ids) if key not in before)
            folder = part.folder(root)
            for theirs in part.source.splits(folder) if name != last else ():
                with suppress(DataError):  # a split that cannot be read says so when it is asked for
                    before |= set(map(self._key, part.source.split(folder, theirs)))
        return found

    def read_index(self, root: Path, classes: Sequence[str]) -> Index:
        read = self.read_parts(root, classes)
        keys = [self._keys(name, index) for name, index in zip(self.parts, read.common, strict=True)]
        shared = list(self._shared(keys))
        ids = sorted(set().union(*keys))
        rows = _rows(ids, keys)
        origins = self._origins(read.common, rows)
        owner = origins.get("boxes", np.full(len(ids), -1))
        owner = np.where(owner >= 0, owner, origins.get("classes", owner))
        first = (rows >= 0).argmax(axis=0)
        places = [(read.common[part], rows[part, row]) for row, part in enumerate(first)]
        return table(
            classes=classes,
            ids=ids,
            images=[str(index.images[row]) for index, row in places],
            image_bytes=[int(index.image_bytes[row]) for index, row in places],
            sizes=[index.size(row) for index, row in places],
            objects=[
                read.common[part].objects(rows[part, row]) if part >= 0 else Objects.none()
                for row, part in enumerate(owner)
            ],
            labelled={kind: parts >= 0 for kind, parts in origins.items()},
            files={
                kind: [
                    str(read.common[part].files[kind][rows[part, row]]) if part >= 0 else ""
                    for row, part in enumerate(parts)
                ]
                for kind, parts in origins.items()
            },
            faults=self._faults(read.common, rows),
            notes=[*_notes(read.common, rows), *shared, *self.unknown(read, classes)],
            by_image={
                "rows": rows.T.copy(),
                "owner": owner.astype(np.int16),
                "prints": _prints(read, rows, origins),
                **{f"part.{kind}": parts.astype(np.int16) for kind, parts in origins.items()},
            },
            more=read.more,
        )

    def _key(self, image: str) -> str:
        name = stem(image)
        if self.key is None:
            return name.rpartition("/")[2]
        found = re.search(self.key, name)
        if found is None or not found[1]:
            raise DataError(f"dataset.source.key: found '{self.key}', which '{name}' does not fit.")
        return found[1]

    def _keys(self, name: str, index: Index) -> list[str]:
        """The keys of a part's images."""
        known: dict[str, str] = {}
        for image in index.ids.tolist():
            key = self._key(image)
            if key in known:
                raise DataError(
                    f"dataset.source.parts.{name}: '{known[key]}' and '{image}' have the same key '{key}'; "
                    f"dataset.source.key must tell them apart, such as '([^/]+/[^/]+)$' by folder and name."
                )
            known[key] = image
        return list(known)

    def _shared(self, keys: Sequence[Sequence[str]]) -> Iterator[tuple[int, str, str]]:
        """Notes of how many pictures of each part are in others too.

        Raises:
            DataError: none of a part is.
        """
        for number, (name, own) in enumerate(zip(self.parts, keys, strict=True)):
            others = set().union(*(other for place, other in enumerate(keys) if place != number))
            count = len(others.intersection(own))
            if not count:
                raise DataError(
                    f"dataset.source.parts.{name}: none of its {len(own)} pictures, such as '{own[0]}', is in another "
                    f"part, such as '{min(others)}'; dataset.source.key says what of their ids is the same."
                )
            if count < len(own):
                yield -1, "joined", f"{name}: {count} of its {len(own)} pictures are in other parts too"

    def _origins(self, parts: Sequence[Index], rows: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.int64]]:
        """Kind -> [I]: the part that its label of each image is from, or -1."""
        there = {
            kind.name: np.stack(
                [(own >= 0) & index.labelled[kind.name][own] for index, own in zip(parts, rows, strict=True)]
            )
            for kind in self.kinds
        }
        found: dict[str, npt.NDArray[np.int64]] = {}
        if "boxes" in there:
            said = sum(there[kind.name].astype(np.int64) for kind in self.kinds if "boxes" in kind.beside)
            best = np.where(there["boxes"], said + 1, 0).argmax(axis=0)
            found["boxes"] = np.where(there["boxes"].any(axis=0), best, -1)
            own = np.arange(len(parts))[:, None] == found["boxes"]
            for kind in self.kinds:
                if "boxes" in kind.beside:
                    there[kind.name] &= own
            if "classes" in there:  # those of the objects, where they say them
                there["classes"] &= own | ~(there["classes"] & own).any(axis=0)
        return {kind: np.where(flags.any(axis=0), flags.argmax(axis=0), -1) for kind, flags in there.items()} | found

    def _faults(self, parts: Sequence[Index], rows: npt.NDArray[np.int64]) -> dict[int, str]:
        broken = [dict(zip(index.faulty.tolist(), index.faults.tolist(), strict=True)) for index in parts]
        found: dict[int, str] = {}
        for row, places in enumerate(rows.T.tolist()):
            own = [(part, place) for part, place in enumerate(places) if place >= 0]
            said = [broken[part][place] for part, place in own if place in broken[part]]
            sizes = {parts[part].size(place): str(parts[part].images[place]) for part, place in own}
            if said:
                found[row] = said[0]
            elif len(sizes) > 1:
                there = " and ".join(f"{width} x {height} pixels in {path}" for (height, width), path in sizes.items())
                found[row] = f"{there}: must be one picture"
        return found

    def _origin(self, index: Index, row: int, kind: str) -> tuple[int, int]:
        part = int(index.by_image[f"part.{kind}"][row])
        return part, int(index.by_image["rows"][row, part])

    def _places(self, index: Index, row: int) -> list[tuple[int, int]]:
        return [(part, place) for part, place in enumerate(index.by_image["rows"][row].tolist()) if place >= 0]

    def _classes(
        self, raw: Tensor | ShownByObjects, index: Index, row: int, renaming: Renaming
    ) -> Tensor | ShownByObjects:
        if isinstance(raw, ShownByObjects) and index.by_image["owner"][row] != index.by_image["part.classes"][row]:
            raw = Classes().place(raw, Unmoved(index.size(row), len(raw.objects)))  # of objects that are not these
        return super()._classes(raw, index, row, renaming)


def _rows(ids: Sequence[str], keys: Sequence[Sequence[str]]) -> npt.NDArray[np.int64]:
    """[P, I]: the row of each image in each part, or -1."""
    places = {key: place for place, key in enumerate(ids)}
    rows = np.full((len(keys), len(ids)), -1, np.int64)
    for part, own in enumerate(keys):
        rows[part, [places[key] for key in own]] = np.arange(len(own))
    return rows


def _notes(parts: Sequence[Index], rows: npt.NDArray[np.int64]) -> Iterator[tuple[int, str, str]]:
    for index, own in zip(parts, rows, strict=True):
        place = {row: image for image, row in enumerate(own.tolist())}
        for row, (kind, said) in zip(index.noted.tolist(), index.notes.tolist(), strict=True):
            yield place[row] if row >= 0 else row, kind, said


def _prints(
    read: Read, rows: npt.NDArray[np.int64], origins: Mapping[str, npt.NDArray[np.int64]]
) -> npt.NDArray[np.uint32]:
    """[I]: changes with what the parts keep of their labels of each image."""
    own = np.zeros(rows.shape, np.uint32)
    for part, places in enumerate(rows):
        own[part] = np.where(places >= 0, read.prints(part)[places], 0)
    images = np.arange(rows.shape[1])
    kept = np.stack([np.where(parts >= 0, own[parts, images], 0) for parts in origins.values()], axis=1)
    return np.array([crc32(row.tobytes()) for row in kept], np.uint32)
