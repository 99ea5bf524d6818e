"""The contract of a kind of label."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from vjo_train.data.objects import Objects
from vjo_train.data.placement import Placement
from vjo_train.drawing.sheet import Sheet
from vjo_train.types import Target


class Kind(ABC):
    """One kind of label that pictures can have, such as boxes or a depth map.

    A data source says which kinds it gives (`Source.kinds`) and reads them; a head says by name which ones it needs
    (`Head.needs`). Loading, augmentation, batches, the cache, drawing and checks ask the kind, and name none.

    Attributes:
        name: of the kind in `Target.labels` and `Head.needs`.
        beside: kinds without which this one says nothing, so that a picture must be labelled with them too.
        of_pixels: the raw label is a map of classes, as that of `semantic`: 0 background, k + 1 class k, 255 ignored.
    """

    name: ClassVar[str]
    beside: ClassVar[frozenset[str]] = frozenset()
    of_pixels: ClassVar[bool] = False

    def __repr__(self) -> str:
        return type(self).__name__

    @abstractmethod
    def place(self, raw: Any, placement: Placement) -> Any:
        """The label of a picture where it lies now.

        Args:
            raw: as the source reads it, in pixels of the picture file. It must not be changed: it may be cached.
            placement: how the picture was cropped, scaled and mirrored onto its canvas, or not at all.

        Returns:
            Tensors, or a `types.Movable` of tensors: the value of this kind in a `Target`.
        """

    @abstractmethod
    def draw(self, sheet: Sheet, target: Target, classes: Sequence[str]) -> None:
        """Puts the label onto a drawn picture.

        Args:
            sheet: takes what is to be drawn, in pixels of the picture file.
            target: labelled with this kind, in those pixels.
            classes: the data set's class names.
        """

    def shown(self, raw: Any) -> Sequence[int] | None:
        """The classes that a label says its picture shows, for counts; None where it names none, or only by objects.

        Args:
            raw: as the source reads it.
        """
        return None

    def figures(self, raw: Any) -> npt.NDArray[np.float64] | None:
        """[C]: what a label says in numbers, by the data set's class names; NaN: unknown. None where it says none.

        Args:
            raw: as the source reads it.
        """
        return None

    def doubts(self, raw: Any, objects: Objects) -> Iterator[tuple[str, str]]:
        """What looks wrong about the label of one picture: pairs (kind of fault, what was found); nothing by default.

        Args:
            raw: as the source reads it.
            objects: those of the picture.
        """
        return iter(())
