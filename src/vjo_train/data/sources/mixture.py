"""Several data sets in one training, each labelled for some tasks."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import torch
from annotated_types import Len
from torch import Tensor

from vjo_train.data.index import Index, arrays_of, index_of
from vjo_train.data.joined_index import joined_indices
from vjo_train.data.labels.base import Kind
from vjo_train.data.labels.classes import ShownByObjects
from vjo_train.data.objects import Objects
from vjo_train.data.sources.base import Source
from vjo_train.data.sources.renaming import Renaming
from vjo_train.errors import ConfigError, DataError
from vjo_train.types import OTHER


@dataclass(frozen=True, kw_only=True)
class Part:
    """One of the data sets.

    Args:
        source: its layout.
        root: its folder; where it is not absolute, below `dataset.root`.
        kinds: the kinds of label that it gives; None: all that its layout has.
        classes: its class names that are called otherwise in the mixture, such as `{pedestrian: person}`.
        splits: names of splits of the mixture that are called otherwise here, such as `{val: valid}`.
    """

    source: Source
    root: str
    kinds: Sequence[str] | None = None
    classes: Mapping[str, str] | None = None
    splits: Mapping[str, str] | None = None

    def folder(self, root: Path) -> Path:
        """Its own root, where that of the mixture is `root`."""
        return self.source.root(root / Path(os.path.expandvars(self.root)).expanduser())

    def given(self) -> list[str]:
        """The kinds of label that it gives."""
        return list(self.kinds) if self.kinds is not None else [kind.name for kind in self.source.kinds]

    def maps(self) -> dict[str, torch.dtype]:
        """As `Source.maps`, of the kinds that it gives."""
        return {kind: values for kind, values in self.source.maps.items() if kind in self.given()}

    def names(self, root: Path) -> list[str]:
        """Its classes as the mixture calls them, in the order of its labels."""
        return self._renamed(self.source.class_names(self.folder(root)))

    def names_of(self, root: Path, kind: str) -> list[str]:
        """Those that its labels of one kind may name."""
        return self._renamed(self.source.class_names_of(self.folder(root), kind))

    def _renamed(self, names: Sequence[str]) -> list[str]:
        return [(self.classes or {}).get(name, name) for name in names]

    def split(self, name: str) -> str:
        """Its own name of a split."""
        return (self.splits or {}).get(name, name)


class Mixture(Source):
    """The images of all parts, with the labels that each of them has.

    An image is labelled with a kind where its own data set is, and the part is asked for that kind: boxes may come from
    one data set and masks from another. An image's id is `<part>/<its id there>`. Of the kind `classes`, those that a
    part does not annotate are unknown in its images. Boxes, masks and semantic maps must come from parts that annotate
    the same classes, since an object that nobody annotated would be learned as background.

    Args:
        parts: name -> data set.

    Raises:
        ConfigError: a part is asked for a kind that its layout does not give.
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
        return list(dict.fromkeys(name for part in self._parts for name in part.names(root)))

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
            folder = part.folder(root)
            if part.source.has_split(folder, part.split(split)):
                ids += [f"{name}/{image}" for image in part.source.split(folder, part.split(split))]
        if not ids:
            found = ", ".join(self.splits(root))
            raise DataError(
                f"dataset.source.parts: none of {', '.join(self.parts)} has a split '{split}'; found {found}."
            )
        return ids

    def stamp(self, root: Path) -> str:
        return " ".join(f"{name}={part.source.stamp(part.folder(root))}" for name, part in self.parts.items())

    def read_index(self, root: Path, classes: Sequence[str]) -> Index:
        self._check_classes(root)
        read = {
            name: part.source.read_index(part.folder(root), part.source.class_names(part.folder(root)))
            for name, part in self.parts.items()
        }
        whole = [self._as_part(root, name, index, classes) for name, index in read.items()]
        joined, place = joined_indices(whole)
        more = {f"{name}:{key}": array for name, index in read.items() for key, array in arrays_of(index).items()}
        folders = np.array([[str(part.folder(root)) for part in self._parts]])
        prints = [index.prints() for index in read.values()]
        kept = np.array([prints[part][row] for part, row in zip(*place, strict=True)], np.uint32)
        own: dict[str, npt.NDArray[Any]] = {"part": place.part, "row": place.row, "prints": kept}
        return replace(joined, more={**more, **own, "folders": folders})

    def _as_part(self, root: Path, name: str, index: Index, classes: Sequence[str]) -> Index:
        """A part's index in the words of the mixture; objects of other classes are not there."""
        part = self.parts[name]
        folder = part.folder(root)
        renaming = Renaming(part.names(root), classes)
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

    def _check_classes(self, root: Path) -> None:
        for kind in ("boxes", "masks", "semantic"):
            known = {name: set(part.names_of(root, kind)) for name, part in self.parts.items() if kind in part.given()}
            first = next(iter(known), None)
            for name, names in known.items():
                if first is not None and names != known[first]:
                    other = ", ".join(sorted(names ^ known[first]))
                    raise DataError(
                        f"dataset.source.parts: {first} and {name} both give {kind}, but only one of them annotates"
                        f" {other}; name them alike (classes), or leave {kind} out of the kinds of one."
                    )

    def read(self, root: Path, index: Index, row: int, kind: str) -> Any:
        if kind == "boxes":
            return index.objects(row)
        number, theirs = int(index.more["part"][row]), int(index.more["row"][row])
        name, part = list(self.parts.items())[number]
        prefix, folder = f"{name}:", Path(str(index.more["folders"][0, number]))
        own = index_of({key.removeprefix(prefix): array for key, array in index.more.items() if key.startswith(prefix)})
        raw = part.source.read(folder, own, theirs, kind)
        names = [(part.classes or {}).get(label, label) for label in own.classes.tolist()]
        renaming = Renaming(names, index.classes.tolist())
        if kind == "classes":
            return _classes(raw, index.objects(row), renaming)
        if kind == "semantic":
            return renaming.map(raw)
        if kind == "category":
            return raw if raw == OTHER else int(renaming.places[raw])
        if kind == "keypoints":
            return renaming.points(raw, own.objects(theirs).labels)
        return renaming.masks(raw, own.objects(theirs).labels) if kind == "masks" else raw


def _classes(raw: Tensor | ShownByObjects, objects: Objects, renaming: Renaming) -> Tensor | ShownByObjects:
    """The label of the kind `classes` in the mixture's classes."""
    if isinstance(raw, Tensor):
        return renaming.flags(raw)
    return ShownByObjects(objects, len(renaming.annotated), renaming.annotated)


def _below(folder: Path, paths: npt.NDArray[np.str_]) -> npt.NDArray[np.str_]:
    """Paths below a folder as whole ones; nothing stays nothing."""
    return np.asarray([str(folder / path) if path else "" for path in paths.tolist()], np.str_)
