"""The devkit's layout, where the brightness of some pictures is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Ge

from ownbright.label import Brightness
from vjo_train.data.decode import read_image
from vjo_train.data.index import Index
from vjo_train.data.labels.base import Kind
from vjo_train.data.sources.voc.source import VOC


class BrightVOC(VOC):
    """Every `every`-th picture is labelled.

    Args:
        every: from one to the next.
        boxes: as `VOC` takes it.
    """

    kinds: tuple[Kind, ...] = (*VOC.kinds, Brightness())
    maps: Mapping[str, torch.dtype] = {**VOC.maps, "brightness": torch.float32}

    def __init__(self, *, every: Annotated[int, Ge(1)] = 1, boxes: Literal["mend", "strict"] = "mend") -> None:
        super().__init__(boxes=boxes)
        self.every = every

    def read_index(self, root: Path, classes: Sequence[str]) -> Index:
        index = super().read_index(root, classes)
        known = np.arange(len(index)) % self.every == 0
        return replace(index, labelled={**index.labelled, "brightness": known})

    def read(self, root: Path, index: Index, row: int, kind: str) -> Any:
        if kind != "brightness":
            return super().read(root, index, row, kind)
        return read_image(index.image(root, row)).float().mean(0) / 255
