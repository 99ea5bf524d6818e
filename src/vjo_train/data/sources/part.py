"""One of the data sets of a mixture."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
from annotated_types import Gt, Len

from vjo_train.data.sources.base import Source
from vjo_train.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Part:
    """One of the data sets.

    Args:
        source: its layout.
        root: its folder; where it is not absolute, below `dataset.root`.
        kinds: the kinds of label that it gives; None: all that its layout has.
        names: the classes that were looked for in its pictures, as its files call them, in the order of its labels;
            None: those that its files name. Other classes of the mixture are unknown in its pictures.
        classes: its class names that are called otherwise in the mixture, such as `{pedestrian: person}`.
        splits: names of splits of the mixture that are called otherwise here, such as `{val: valid}`.
        weight: how often its pictures come in training, relative to those of the other parts.
    """

    source: Source
    root: str
    kinds: Sequence[str] | None = None
    names: Annotated[Sequence[str], Len(1, 254)] | None = None
    classes: Mapping[str, str] | None = None
    splits: Mapping[str, str] | None = None
    weight: Annotated[float, Gt(0)] = 1.0

    def folder(self, root: Path) -> Path:
        """Its own root, where that of the mixture is `root`."""
        return self.source.root(root / Path(os.path.expandvars(self.root)).expanduser())

    def given(self) -> list[str]:
        """The kinds of label that it gives."""
        return list(self.kinds) if self.kinds is not None else [kind.name for kind in self.source.kinds]

    def maps(self) -> dict[str, torch.dtype]:
        """As `Source.maps`, of the kinds that it gives."""
        return {kind: values for kind, values in self.source.maps.items() if kind in self.given()}

    def own_names(self, folder: Path) -> list[str]:
        """Its classes as its files call them, in the order of its labels; `folder` is its own."""
        return list(self.names) if self.names is not None else self.source.class_names(folder)

    def names_here(self, root: Path) -> list[str]:
        """Its classes as the mixture calls them, in the order of its labels."""
        return self.renamed(self.own_names(self.folder(root)))

    def names_of(self, root: Path, kind: str) -> list[str]:
        """Those that were looked for in its labels of one kind."""
        folder = self.folder(root)
        own = self.own_names(folder)
        try:
            every, some = self.source.class_names(folder), self.source.class_names_of(folder, kind)
        except DataError:  # its files name none: that is what `names` is for
            return self.renamed(own)
        return self.renamed([name for name in own if name in some or name not in every])

    def renamed(self, names: Sequence[str]) -> list[str]:
        """Its own names as the mixture calls them."""
        return [(self.classes or {}).get(name, name) for name in names]

    def split(self, name: str) -> str:
        """Its own name of a split."""
        return (self.splits or {}).get(name, name)
