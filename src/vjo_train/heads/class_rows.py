"""Which rows of a layer belong to which class, so that a network can start from one of other classes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

BACKGROUND = ""
"""Stands for no class; no class has this name."""
SAME = {"aeroplane": "airplane", "motorbike": "motorcycle", "sofa": "couch", "tvmonitor": "tv"}
"""VOC's names of classes that COCO calls otherwise."""


@dataclass(frozen=True)
class ClassRows:
    """How the rows (axis 0) of a parameter are laid out: group by group, class by class, `each` rows of a class.

    Attributes:
        groups: how often all classes are there, such as once for each anchor of a cell.
        each: rows of a class in a group.
        background: where the rows of no class lie among those of the classes; None: there are none.
    """

    groups: int = 1
    each: int = 1
    background: Literal["first", "last"] | None = None

    def labels(self, names: Sequence[str]) -> list[tuple[int, str, int]]:
        """Each row's group, class and place among the rows of its class.

        Args:
            names: of the classes, in the head's order.
        """
        whole = [BACKGROUND] * (self.background == "first") + list(names) + [BACKGROUND] * (self.background == "last")
        return [(group, name, row) for group in range(self.groups) for name in whole for row in range(self.each)]


def of_layer(name: str, rows: ClassRows) -> dict[str, ClassRows]:
    """The same rows for the weight and the bias of a layer."""
    return {f"{name}.weight": rows, f"{name}.bias": rows}


def plain_name(name: str) -> str:
    """A class name without case, blanks and dashes, by which classes of different data sets are compared."""
    plain = re.sub(r"[\W_]+", "", name).casefold()
    return SAME.get(plain, plain)


def rows_by_name(
    own: Tensor, own_labels: Sequence[tuple[int, str, int]], given: Tensor, given_labels: Sequence[tuple[int, str, int]]
) -> Tensor | None:
    """`own`, with the rows that `given` has of the same label.

    Args:
        own: [R, ...].
        own_labels: R of them.
        given: [G, ...].
        given_labels: G of them.

    Returns:
        [R, ...]; None where the two are not laid out as their labels say, or differ in the other axes.
    """
    if len(own) != len(own_labels) or len(given) != len(given_labels) or own.shape[1:] != given.shape[1:]:
        return None
    places = {(group, plain_name(name), row): place for place, (group, name, row) in enumerate(given_labels)}
    mixed = own.clone()
    for place, (group, name, row) in enumerate(own_labels):
        found = places.get((group, plain_name(name), row))
        if found is not None:
            mixed[place] = given[found]
    return mixed
