"""A network with all that it takes to predict on pictures, whatever becomes of the predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vjo_train.data.deep_pictures import Span
from vjo_train.heads.merged import Shows
from vjo_train.inference.prediction import Network
from vjo_train.types import Canvas


@dataclass(frozen=True)
class Predictor:
    """What `vjo-predict` and the Python API predict with; `inference.inputs` makes its batches."""

    network: Network
    """With what is made of its heads' predictions."""
    heads: Mapping[str, Shows]
    """Task -> what draws and writes its predictions, merged tasks included."""
    tasks: tuple[str, ...]
    """The heads that predict."""
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
