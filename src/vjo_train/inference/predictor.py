"""A network with all that it takes to predict on pictures, whatever becomes of the predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vjo_train.data.deep_pictures import Span
from vjo_train.errors import ConfigError
from vjo_train.heads.base import Head
from vjo_train.heads.merged import Merged, Shows
from vjo_train.inference.picture_file import PictureFile
from vjo_train.inference.prediction import Found, Network, publishing, whole
from vjo_train.inference.tiling.tiled import Computed, Tiled
from vjo_train.inference.tiling.windows import Tiling
from vjo_train.types import Canvas


@dataclass(frozen=True)
class Predictor:
    """What `vjo-predict` and the Python API predict with; `inference.inputs` makes its batches."""

    computed: Computed | PictureFile
    """The network."""
    heads: Mapping[str, Head]
    """Task -> head, of those that predict."""
    merged: Mapping[str, Merged]
    """What is made of their predictions."""
    classes: tuple[str, ...]
    """The names of the data set's C classes."""
    canvas: Canvas
    """(height, width) that pictures are scaled to fit on."""
    span: Span | None
    """What is black and white in pictures of more than 8 bits a colour; None: by each picture's own values."""
    batch_size: int
    """Pictures per step."""
    origin: str
    """The file of its weights."""
    size: int
    """Its parameters; 0: not known."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """The heads that predict."""
        return tuple(self.heads)

    @property
    def shows(self) -> dict[str, Shows]:
        """Task -> what draws and writes its predictions, merged tasks included."""
        return {**self.heads, **self.merged}

    def network(self, tiling: Tiling | None) -> Network:
        """Predictions as they are published.

        Args:
            tiling: how large pictures are cut; None: not at all.

        Raises:
            ConfigError: no head says anything of a place in the picture, so that there is nothing to cut it for.
        """
        return publishing(self.found(tiling), self.heads, self.merged)

    def found(self, tiling: Tiling | None) -> Found:
        """Predictions in the heads' own classes; see `network`.

        Raises:
            ConfigError: see there; or a file that resizes pictures itself, which is to see windows.
        """
        if isinstance(self.computed, PictureFile):
            if tiling is not None:
                raise ConfigError(f"tile: {self.origin} resizes pictures itself; export the run without resize=true.")
            return self.computed.found
        if tiling is None:
            return whole(self.computed)
        return Tiled(self.computed, self.heads, tiling, self.canvas, self.batch_size).found
