"""The contract of a data source."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from vjo_train.data.index import Index
from vjo_train.data.labels.base import Kind


class Source(ABC):
    """A layout of data on disk. Files are read where they lie and never changed.

    A source of your own is a class with these methods and a YAML that names it as `dataset.source`; its constructor's
    keys are keys of that YAML. It keeps no state: what it finds goes into the `Index`.

    Attributes:
        kinds: the kinds of label that it gives.
        maps: those of them that it reads from a file per picture as one map [H, W], with the type of its values.
    """

    kinds: tuple[Kind, ...]
    maps: Mapping[str, torch.dtype] = {}

    @abstractmethod
    def root(self, folder: Path) -> Path:
        """The folder of the data set, where `folder` may be one around it.

        Raises:
            DataError: there is none.
        """

    @abstractmethod
    def class_names(self, root: Path) -> list[str]:
        """The names of all classes that the annotations name, in the order of their labels: `dataset.classes` where
        none are given.

        Raises:
            DataError: there are none.
        """

    def class_names_of(self, root: Path, kind: str) -> list[str]:
        """Those that the labels of one kind may name: the classes of a head that needs them, where none are given."""
        return self.class_names(root)

    @abstractmethod
    def splits(self, root: Path) -> list[str]:
        """The names of the splits."""

    @abstractmethod
    def split(self, root: Path, split: str) -> list[str]:
        """The images of a split, by their ids, in its order.

        Raises:
            DataError: there is no such split, it is empty, or names an image twice.
        """

    def has_split(self, root: Path, split: str) -> bool:
        """Whether there is a split that `split` means."""
        return split in self.splits(root)

    def unlisted(self, root: Path) -> dict[str, list[str]]:
        """Split -> the images that were put into it because nothing says in which split they are; empty: none were."""
        return {}

    def split_name(self, root: Path, split: str) -> str:
        """What says which images are in a split, such as a file, for messages."""
        return f"split '{split}'"

    def missing(self, name: str) -> str:
        """What an image lacks that a split lists and the index does not have, such as the name of a file."""
        return "annotation"

    @abstractmethod
    def stamp(self, root: Path) -> str:
        """Changes with all that the index holds: such as a digest of the names, sizes and times of the files."""

    @abstractmethod
    def read_index(self, root: Path, classes: Sequence[str]) -> Index:
        """Reads all annotations.

        Args:
            root: of the data set.
            classes: class names, in the order of their labels.

        Raises:
            DataError: there is nothing to read. What is wrong with single images is said in `Index.faults`.
        """

    @abstractmethod
    def read(self, root: Path, index: Index, row: int, kind: str) -> Any:
        """The raw label of an image, as `Kind.place` takes it.

        Args:
            root: of the data set.
            index: its index.
            row: of an image that is labelled with the kind.
            kind: the name of one of `kinds`.

        Raises:
            DataError: its file is broken.
        """

    def annotated(self, index: Index, row: int, kind: str) -> npt.NDArray[np.bool_] | None:
        """[C]: the classes that were looked for in an image, for labels of a kind that name classes; None: all.

        A class that was not looked for is unknown where the label names nothing: it counts neither way. The kind
        `classes` says so by itself.

        Args:
            index: of the data set.
            row: of an image that is labelled with the kind.
            kind: the name of one of `kinds`.
        """
        return None

    def groups(self, index: Index) -> npt.NDArray[np.str_] | None:
        """[I]: what each image belongs to, such as a patient, so that splits do not separate it; None: nothing."""
        return None

    def part_of(self, image: str) -> str:
        """The data set that an image is of, by its id, where a source holds several."""
        return ""

    def weights(self, index: Index) -> npt.NDArray[np.float64] | None:
        """[I] above 0: how often each image comes in training, relative to the others; None: equally often."""
        return None

    def __repr__(self) -> str:
        """The class with its keys, which the cache of the index goes by."""
        return f"{type(self).__qualname__}({sorted(vars(self).items())})"

    def kind(self, name: str) -> Kind:
        """The kind of that name; one of `kinds`."""
        return next(kind for kind in self.kinds if kind.name == name)
