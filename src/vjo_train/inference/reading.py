"""What is made of a head's outputs for a batch: predictions of pictures, or what windows of a picture give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from torch import Tensor

from vjo_train.heads.base import Head
from vjo_train.heads.pixels.base import PixelHead
from vjo_train.types import Batch

ByImage: TypeAlias = Callable[[int], Any]
"""The place of an image in a batch -> a head's prediction for it, in the head's own classes."""


class Reading:
    """Predictions, one by one, so that the masks of one image alone are in memory, where the head allows it."""

    def of_outputs(self, head: Head, outputs: Any, batch: Batch) -> ByImage:
        """Of a head's raw outputs."""
        if type(head).predictions is Head.predictions:
            found = head.decode(outputs, batch)
            return lambda k: found[k]
        return self.of_decoded(head, head.decoded(outputs, batch.frames), batch)

    def of_decoded(self, head: Head, decoded: Mapping[str, Tensor], batch: Batch) -> ByImage:
        """Of what `Head.decoded` gives for a batch."""

        def prediction(k: int) -> Any:
            own = slice(k, k + 1)
            part = {name: tensor[own] for name, tensor in decoded.items()}
            return self.predictions(head, part, batch.part(own))[0]

        return prediction

    def predictions(self, head: Head, decoded: Mapping[str, Tensor], batch: Batch) -> list[Any]:
        """The second part of `Head.decode`."""
        return head.predictions(decoded, batch)


class Pieces(Reading):
    """What can be put together: maps [K, h, w] before they are finished, objects with small masks; else predictions."""

    def of_outputs(self, head: Head, outputs: Any, batch: Batch) -> ByImage:
        if isinstance(head, PixelHead):
            return lambda k: head.maps_of(outputs, batch, k)[0]
        return super().of_outputs(head, outputs, batch)

    def predictions(self, head: Head, decoded: Mapping[str, Tensor], batch: Batch) -> list[Any]:
        return head.pieces(decoded, batch)


WHOLE, PIECES = Reading(), Pieces()
