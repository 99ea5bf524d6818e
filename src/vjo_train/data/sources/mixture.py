"""Several data sets in one training, each labelled for some tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
from annotated_types import Len

from vjo_train.data.index import Index
from vjo_train.data.joined_index import joined_indices
from vjo_train.data.sources.of_parts import OfParts
from vjo_train.data.sources.part import Part

__all__ = ["Mixture", "Part"]


class Mixture(OfParts):
    """The images of all parts, with the labels that each of them has.

    An image is labelled with a kind where its own data set is, and the part is asked for that kind: boxes may come from
    one data set and masks from another. An image's id is `<part>/<its id there>`. See `OfParts`.

    Args:
        parts: name -> data set.
    """

    def __init__(self, *, parts: Annotated[Mapping[str, Part], Len(1)]) -> None:
        super().__init__(parts=parts)

    def split(self, root: Path, split: str) -> list[str]:
        return [f"{name}/{image}" for name, ids in self.split_of_parts(root, split).items() for image in ids]

    def read_index(self, root: Path, classes: Sequence[str]) -> Index:
        read = self.read_parts(root, classes)
        joined, place = joined_indices(
            [
                replace(index, ids=np.asarray([f"{name}/{image}" for image in index.ids.tolist()], np.str_))
                for name, index in zip(self.parts, read.common, strict=True)
            ]
        )
        prints = [read.prints(number) for number in range(len(self.parts))]
        kept = np.array([prints[part][row] for part, row in zip(*place, strict=True)], np.uint32)
        said = list(self.unknown(read, classes))
        return replace(
            joined,
            by_image={"part": place.part, "row": place.row, "prints": kept},
            more=read.more,
            noted=np.concatenate([joined.noted, np.array([row for row, _, _ in said], np.int64)]),
            notes=np.concatenate([joined.notes, np.array([note for _, *note in said], np.str_).reshape(-1, 2)]),
        )

    def part_of(self, image: str) -> str:
        return image.partition("/")[0]

    def weights(self, index: Index) -> npt.NDArray[np.float64] | None:
        weights = np.array([part.weight for part in self._parts])
        return None if (weights == weights[0]).all() else weights[index.by_image["part"]]

    def unlisted(self, root: Path) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name, splits in self.unlisted_of_parts(root).items():
            for split, ids in splits.items():
                found.setdefault(split, []).extend(f"{name}/{image}" for image in ids)
        return found

    def _origin(self, index: Index, row: int, kind: str) -> tuple[int, int]:
        return self._places(index, row)[0]

    def _places(self, index: Index, row: int) -> list[tuple[int, int]]:
        return [(int(index.by_image["part"][row]), int(index.by_image["row"][row]))]
