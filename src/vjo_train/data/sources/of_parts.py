"""A source made of several data sets: what mixtures and joins have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt
from torch import Tensor

from vjo_train.data.index import Index, arrays_of, index_of
from vjo_train.data.labels.base import Kind
from vjo_train.data.labels.classes import ShownByObjects
from vjo_train.data.sources.base import Source
from vjo_train.data.sources.part import Part
from vjo_train.data.sources.renaming import Renaming
from vjo_train.errors import ConfigError, DataError
from vjo_train.types import OTHER

NAMING = ("boxes", "masks", "keypoints", "semantic", "human_parts")
"""The kinds that name classes, and say nothing of what they do not name."""
MAPS = ("semantic", "human_parts")
"""Those that name the class of every pixel."""


@dataclass(frozen=True)
class Read:
    """What was read of P parts."""

    own: list[Index]
    """[P]: as their own sources have it."""
    common: list[Index]
    """[P]: the same images in the classes of the whole, with paths that are whole, and with all its kinds."""
    annotated: dict[str, npt.NDArray[np.bool_]]
    """`annotated.<kind>` -> [1, P, C]: the classes that each part annotates; only where some lacks some."""
    more: dict[str, npt.NDArray[Any]]
    """What `OfParts.read` and `OfParts.annotated` need."""

    def prints(self, number: int) -> npt.NDArray[np.uint32]:
        """[I]: changes with what a part keeps of each of its images, and with the classes that it annotates."""
        known = b"".join(table[0, number].tobytes() for table in self.annotated.values())
        return self.own[number].prints() ^ np.uint32(crc32(known))


class OfParts(Source):
    """Several data sets, each with the kinds of label that it is asked for, in common class names.

    Classes that a part does not annotate are unknown in its labels (`Source.annotated`): they count neither way, in
    losses and in metrics.

    Args:
        parts: name -> data set.

    Raises:
        ConfigError: a part is asked for a kind that its layout does not give, or for one without another that it
            needs.
    """

    def __init__(self, *, parts: Mapping[str, Part]) -> None:
        self.parts = dict(parts)
        found: dict[str, Kind] = {}
        for name, part in self.parts.items():
            known = {kind.name: kind for kind in part.source.kinds}
            key = f"dataset.source.parts.{name}.kinds"
            if missing := [kind for kind in part.given() if kind not in known]:
                raise ConfigError(f"{key}: found {missing[0]}; its layout gives {', '.join(known)}.")
            for kind in part.given():
                if missing := sorted(known[kind].beside.difference(part.given())):
                    raise ConfigError(f"{key}: found {kind} without {missing[0]}, of whose objects they are.")
            found |= {kind: known[kind] for kind in part.given()}
        self.kinds = tuple(found.values())
        self.maps = {kind: values for part in self._parts for kind, values in part.maps().items()}
        for part in self._parts:  # of a kind that parts keep as maps of different types, none is kept
            for kind in part.given():
                if kind in self.maps and part.maps().get(kind) != self.maps[kind]:
                    del self.maps[kind]

    @abstractmethod
    def _origin(self, index: Index, row: int, kind: str) -> tuple[int, int]:
        """Which part a label of an image is from, and the image's row there."""

    @abstractmethod
    def _places(self, index: Index, row: int) -> list[tuple[int, int]]:
        """The parts that an image is in, and its row in each."""

    @property
    def _parts(self) -> list[Part]:
        return list(self.parts.values())

    def root(self, folder: Path) -> Path:
        return folder

    def class_names(self, root: Path) -> list[str]:
        return list(dict.fromkeys(name for part in self._parts for name in part.names_here(root)))

    def class_names_of(self, root: Path, kind: str) -> list[str]:
        own = {name for part in self._parts if kind in part.given() for name in part.names_of(root, kind)}
        return [name for name in self.class_names(root) if name in own]

    def splits(self, root: Path) -> list[str]:
        found: set[str] = set()
        for part in self._parts:
            theirs = {own: name for name, own in (part.splits or {}).items()}
            found |= {theirs.get(name, name) for name in part.source.splits(part.folder(root))}
        return sorted(found)

    def has_split(self, root: Path, split: str) -> bool:
        return any(part.source.has_split(part.folder(root), part.split(split)) for part in self._parts)

    def split_of_parts(self, root: Path, split: str) -> dict[str, list[str]]:
        """Part -> its own ids of the images of a split; only parts that have it.

        Raises:
            DataError: none has it, or one that is said to have it does not.
        """
        found: dict[str, list[str]] = {}
        for name, part in self.parts.items():
            folder, own = part.folder(root), part.split(split)
            if part.source.has_split(folder, own):
                found[name] = part.source.split(folder, own)
            elif split in (part.splits or {}):
                there = ", ".join(part.source.splits(folder))
                raise DataError(f"dataset.source.parts.{name}.splits.{split}: found {own}; its splits are {there}.")
        if not found:
            there, names = ", ".join(self.splits(root)), ", ".join(self.parts)
            raise DataError(f"dataset.source.parts: none of {names} has a split '{split}'; found {there}.")
        return found

    def unlisted_of_parts(self, root: Path) -> dict[str, dict[str, list[str]]]:
        """Part -> `Source.unlisted` by the whole's names of splits, with the part's own ids."""
        found = {}
        for name, part in self.parts.items():
            ours = {own: split for split, own in (part.splits or {}).items()}
            shared_out = part.source.unlisted(part.folder(root))
            found[name] = {ours.get(split, split): ids for split, ids in shared_out.items()}
        return found

    def groups(self, index: Index) -> npt.NDArray[np.str_] | None:
        of_parts = [part.source.groups(self._part(index, number)[1]) for number, part in enumerate(self._parts)]
        known = {part: own for part, own in enumerate(of_parts) if own is not None}
        if not known:
            return None
        names, found = list(self.parts), index.ids.tolist()
        for row in range(len(index)):
            for part, place in reversed(self._places(index, row)):  # the first one has the last word
                if part in known:
                    found[row] = f"{names[part]}/{known[part][place]}"
        return np.asarray(found, np.str_)

    def stamp(self, root: Path) -> str:
        return " ".join(f"{name}={part.source.stamp(part.folder(root))}" for name, part in self.parts.items())

    def read_parts(self, root: Path, classes: Sequence[str]) -> Read:
        """The indices of all parts.

        Args:
            root: of the whole.
            classes: of the whole.
        """
        folders = [part.folder(root) for part in self._parts]
        own = [
            part.source.read_index(folder, part.own_names(folder))
            for part, folder in zip(self._parts, folders, strict=True)
        ]
        read = zip(self._parts, folders, own, strict=True)
        common = [self._in_common(part, folder, index, classes) for part, folder, index in read]
        annotated = self._looked_for(root, common)
        more = {
            f"{name}:{key}": array
            for name, index in zip(self.parts, own, strict=True)
            for key, array in arrays_of(index).items()
        }
        return Read(own, common, annotated, {**more, **annotated, "folders": np.array([list(map(str, folders))])})

    def unknown(self, read: Read, classes: Sequence[str]) -> Iterator[tuple[int, str, str]]:
        """Notes of what each part does not annotate but another does."""
        for key, table in read.annotated.items():
            kind = key.partition(".")[2]
            own = {
                name: known
                for (name, part), known in zip(self.parts.items(), table[0], strict=True)
                if kind in part.given()
            }
            for name, known in own.items():
                if (unknown := np.any(list(own.values()), axis=0) & ~known).any():
                    missing = ", ".join(np.asarray(classes)[unknown].tolist())
                    yield -1, "unknown classes", f"{name}: {kind} of {missing} are not annotated, so unknown there"

    def _looked_for(self, root: Path, read: Sequence[Index]) -> dict[str, npt.NDArray[np.bool_]]:
        """See `Read.annotated`."""
        classes = read[0].classes
        found = {}
        for kind in NAMING:
            table = np.ones((1, len(read), len(classes)), np.bool_)
            for number, (part, index) in enumerate(zip(self._parts, read, strict=True)):
                if kind in part.given():
                    table[0, number] = np.isin(classes, part.names_of(root, kind))
                    if kind == "boxes":
                        table[0, number, index.labels] = True  # what objects show is known
            if not table.all():
                found[f"annotated.{kind}"] = table
        return found

    def _in_common(self, part: Part, folder: Path, index: Index, classes: Sequence[str]) -> Index:
        """A part's index in the words of the whole; objects of other classes are not there."""
        renaming = Renaming(part.renamed(index.classes.tolist()), classes)
        kept = renaming.places[index.labels] >= 0
        owners = np.repeat(np.arange(len(index)), np.diff(index.offsets))
        counts = np.bincount(owners[kept], minlength=len(index))
        none = np.zeros(len(index), np.bool_)
        empty, kinds = np.full(len(index), ""), [kind.name for kind in self.kinds]
        return replace(
            index,
            classes=np.asarray(list(classes), np.str_),
            images=_below(folder, index.images),
            offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            boxes=index.boxes[kept],
            labels=renaming.places[index.labels][kept].astype(np.int16),
            difficult=index.difficult[kept],
            labelled={kind: index.labelled[kind] if kind in part.given() else none for kind in kinds},
            files={
                kind: _below(folder, index.files[kind]) if kind in part.given() and kind in index.files else empty
                for kind in kinds
            },
        )

    def read(self, root: Path, index: Index, row: int, kind: str) -> Any:
        if kind == "boxes":
            return index.objects(row)
        number, theirs = self._origin(index, row, kind)
        part, own = self._part(index, number)
        raw = part.source.read(Path(str(index.more["folders"][0, number])), own, theirs, kind)
        renaming = Renaming(part.renamed(own.classes.tolist()), index.classes.tolist())
        if kind == "classes":
            return self._classes(raw, index, row, renaming)
        if kind in MAPS:
            return renaming.map(raw)
        if kind == "numbers":
            return renaming.numbers(raw)
        if kind == "category":
            return raw if raw == OTHER else int(renaming.places[raw])
        if kind == "keypoints":
            return renaming.points(raw, own.objects(theirs).labels)
        return renaming.masks(raw, own.objects(theirs).labels) if kind == "masks" else raw

    def _classes(
        self, raw: Tensor | ShownByObjects, index: Index, row: int, renaming: Renaming
    ) -> Tensor | ShownByObjects:
        """The label of the kind `classes` in the classes of the whole; the objects are those of the index."""
        if isinstance(raw, Tensor):
            return renaming.flags(raw)
        return ShownByObjects(index.objects(row), len(renaming.annotated), renaming.annotated)

    def annotated(self, index: Index, row: int, kind: str) -> npt.NDArray[np.bool_] | None:
        number, theirs = self._origin(index, row, kind)
        table = index.more.get(f"annotated.{kind}")
        known = None if table is None else table[0, number]
        part, own = self._part(index, number)
        inner = part.source.annotated(own, theirs, kind)
        if inner is not None:
            places = Renaming(part.renamed(own.classes.tolist()), index.classes.tolist()).places[~inner]
            known = np.ones(len(index.classes), np.bool_) if known is None else known.copy()
            known[places[places >= 0]] = False
        return known

    def _part(self, index: Index, number: int) -> tuple[Part, Index]:
        """A part and its own index."""
        name, part = list(self.parts.items())[number]
        prefix = f"{name}:"
        own = {key.removeprefix(prefix): array for key, array in index.more.items() if key.startswith(prefix)}
        return part, index_of(own)


def _below(folder: Path, paths: npt.NDArray[np.str_]) -> npt.NDArray[np.str_]:
    """Paths below a folder as whole ones; nothing stays nothing."""
    return np.asarray([str(folder / path) if path else "" for path in paths.tolist()], np.str_)
