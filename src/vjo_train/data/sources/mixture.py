"""Several data sets in one training, each labelled for some tasks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any
from zlib import crc32

import numpy as np
import numpy.typing as npt
from annotated_types import Len
from torch import Tensor

from vjo_train.data.index import Index, arrays_of, index_of
from vjo_train.data.joined_index import joined_indices
from vjo_train.data.labels.base import Kind
from vjo_train.data.labels.classes import ShownByObjects
from vjo_train.data.objects import Objects
from vjo_train.data.sources.base import Source
from vjo_train.data.sources.part import Part
from vjo_train.data.sources.renaming import Renaming
from vjo_train.errors import ConfigError, DataError
from vjo_train.types import OTHER

__all__ = ["Mixture", "Part"]


NAMING = ("boxes", "masks", "keypoints", "semantic", "human_parts")
"""The kinds that name classes, and say nothing of what they do not name."""
MAPS = ("semantic", "human_parts")
"""Those that name the class of every pixel."""


class Mixture(Source):
    """The images of all parts, with the labels that each of them has.

    An image is labelled with a kind where its own data set is, and the part is asked for that kind: boxes may come from
    one data set and masks from another. An image's id is `<part>/<its id there>`. Classes that a part does not
    annotate are unknown in its images (`Source.annotated`): they count neither way, in losses and in metrics.

    Args:
        parts: name -> data set.

    Raises:
        ConfigError: a part is asked for a kind that its layout does not give, or for one without another that it
            needs.
    """

    def __init__(self, *, parts: Annotated[Mapping[str, Part], Len(1)]) -> None:
        self.parts = dict(parts)
        found: dict[str, Kind] = {}
        for name, part in self.parts.items():
            known = {kind.name: kind for kind in part.source.kinds}
            if missing := [kind for kind in part.given() if kind not in known]:
                raise ConfigError(
                    f"dataset.source.parts.{name}.kinds: found {missing[0]}; its layout gives {', '.join(known)}."
                )
            for kind in part.given():
                if missing := sorted(known[kind].beside.difference(part.given())):
                    key = f"dataset.source.parts.{name}.kinds"
                    raise ConfigError(f"{key}: found {kind} without {missing[0]}, of whose objects they are.")
            found |= {kind: known[kind] for kind in part.given()}
        self.kinds = tuple(found.values())
        self.maps = {kind: values for part in self._parts for kind, values in part.maps().items()}
        for part in self._parts:  # of a kind that parts keep as maps of different types, none is kept
            for kind in part.given():
                if kind in self.maps and part.maps().get(kind) != self.maps[kind]:
                    del self.maps[kind]

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

    def split(self, root: Path, split: str) -> list[str]:
        ids: list[str] = []
        for name, part in self.parts.items():
            folder, own = part.folder(root), part.split(split)
            if part.source.has_split(folder, own):
                ids += [f"{name}/{image}" for image in part.source.split(folder, own)]
            elif split in (part.splits or {}):
                found = ", ".join(part.source.splits(folder))
                raise DataError(f"dataset.source.parts.{name}.splits.{split}: found {own}; its splits are {found}.")
        if not ids:
            found = ", ".join(self.splits(root))
            raise DataError(
                f"dataset.source.parts: none of {', '.join(self.parts)} has a split '{split}'; found {found}."
            )
        return ids

    def stamp(self, root: Path) -> str:
        return " ".join(f"{name}={part.source.stamp(part.folder(root))}" for name, part in self.parts.items())

    def read_index(self, root: Path, classes: Sequence[str]) -> Index:
        folders = [part.folder(root) for part in self._parts]
        read = {
            name: part.source.read_index(folder, part.own_names(folder))
            for (name, part), folder in zip(self.parts.items(), folders, strict=True)
        }
        whole = [self._as_part(root, name, index, classes) for name, index in read.items()]
        joined, place = joined_indices(whole)
        more = {f"{name}:{key}": array for name, index in read.items() for key, array in arrays_of(index).items()}
        annotated = self._looked_for(root, whole)
        prints = [index.prints() ^ _print(annotated, number) for number, index in enumerate(read.values())]
        kept = np.array([prints[part][row] for part, row in zip(*place, strict=True)], np.uint32)
        said = [(-1, "unknown classes", what) for what in self._unknown(annotated, classes)]
        return replace(
            joined,
            by_image={"part": place.part, "row": place.row, "prints": kept},
            more={**more, **annotated, "folders": np.array([list(map(str, folders))])},
            noted=np.concatenate([joined.noted, np.array([row for row, _, _ in said], np.int64)]),
            notes=np.concatenate([joined.notes, np.array([note for _, *note in said], np.str_).reshape(-1, 2)]),
        )

    def _unknown(self, annotated: Mapping[str, npt.NDArray[np.bool_]], classes: Sequence[str]) -> Iterator[str]:
        """What each part does not annotate but another does, in words."""
        for kind, table in annotated.items():
            for name, known in zip(self.parts, table[0], strict=True):
                if (unknown := table[0].any(axis=0) & ~known).any():
                    missing = ", ".join(np.asarray(classes)[unknown].tolist())
                    yield f"{name}: {kind.partition('.')[2]} of {missing} are not annotated, so unknown there"

    def _looked_for(self, root: Path, read: Sequence[Index]) -> dict[str, npt.NDArray[np.bool_]]:
        """`annotated.<kind>` -> [1, parts, C]: the classes that each part annotates; only where some lacks some."""
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

    def _as_part(self, root: Path, name: str, index: Index, classes: Sequence[str]) -> Index:
        """A part's index in the words of the mixture; objects of other classes are not there."""
        part = self.parts[name]
        folder = part.folder(root)
        renaming = Renaming(part.renamed(index.classes.tolist()), classes)
        kept = renaming.places[index.labels] >= 0
        owners = np.repeat(np.arange(len(index)), np.diff(index.offsets))
        counts = np.bincount(owners[kept], minlength=len(index))
        none = np.zeros(len(index), np.bool_)
        empty, kinds = np.full(len(index), ""), [kind.name for kind in self.kinds]
        return replace(
            index,
            classes=np.asarray(list(classes), np.str_),
            ids=np.asarray([f"{name}/{image}" for image in index.ids.tolist()], np.str_),
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
        part, own, theirs = self._origin(index, row)
        raw = part.source.read(Path(str(index.more["folders"][0, index.by_image["part"][row]])), own, theirs, kind)
        renaming = Renaming(part.renamed(own.classes.tolist()), index.classes.tolist())
        if kind == "classes":
            return _classes(raw, index.objects(row), renaming)
        if kind in MAPS:
            return renaming.map(raw)
        if kind == "numbers":
            return renaming.numbers(raw)
        if kind == "category":
            return raw if raw == OTHER else int(renaming.places[raw])
        if kind == "keypoints":
            return renaming.points(raw, own.objects(theirs).labels)
        return renaming.masks(raw, own.objects(theirs).labels) if kind == "masks" else raw

    def annotated(self, index: Index, row: int, kind: str) -> npt.NDArray[np.bool_] | None:
        table = index.more.get(f"annotated.{kind}")
        known = None if table is None else table[0, index.by_image["part"][row]]
        part, own, theirs = self._origin(index, row)
        inner = part.source.annotated(own, theirs, kind)
        if inner is not None:
            places = Renaming(part.renamed(own.classes.tolist()), index.classes.tolist()).places[~inner]
            known = np.ones(len(index.classes), np.bool_) if known is None else known.copy()
            known[places[places >= 0]] = False
        return known

    def part_of(self, image: str) -> str:
        return image.partition("/")[0]

    def weights(self, index: Index) -> npt.NDArray[np.float64] | None:
        weights = np.array([part.weight for part in self._parts])
        return None if (weights == weights[0]).all() else weights[index.by_image["part"]]

    def _origin(self, index: Index, row: int) -> tuple[Part, Index, int]:
        """The part of an image, the part's own index, and the image's row there."""
        name, part = list(self.parts.items())[int(index.by_image["part"][row])]
        prefix = f"{name}:"
        own = {key.removeprefix(prefix): array for key, array in index.more.items() if key.startswith(prefix)}
        return part, index_of(own), int(index.by_image["row"][row])


def _print(annotated: Mapping[str, npt.NDArray[np.bool_]], part: int) -> np.uint32:
    """Changes with the classes that a part annotates; 0 where all parts annotate all."""
    return np.uint32(crc32(b"".join(table[0, part].tobytes() for table in annotated.values())))


def _classes(raw: Tensor | ShownByObjects, objects: Objects, renaming: Renaming) -> Tensor | ShownByObjects:
    """The label of the kind `classes` in the mixture's classes."""
    if isinstance(raw, Tensor):
        return renaming.flags(raw)
    return ShownByObjects(objects, len(renaming.annotated), renaming.annotated)


def _below(folder: Path, paths: npt.NDArray[np.str_]) -> npt.NDArray[np.str_]:
    """Paths below a folder as whole ones; nothing stays nothing."""
    return np.asarray([str(folder / path) if path else "" for path in paths.tolist()], np.str_)
