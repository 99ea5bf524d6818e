"""Cityscapes: street scenes with the class of every pixel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from vjo_train.data.decode import read_mask
from vjo_train.data.index import Index
from vjo_train.data.sources.mask_files import MaskFiles
from vjo_train.types import IGNORE

LABEL_IDS = {
    "road": 7, "sidewalk": 8, "building": 11, "wall": 12, "fence": 13, "pole": 17, "traffic light": 19,
    "traffic sign": 20, "vegetation": 21, "terrain": 22, "sky": 23, "person": 24, "rider": 25, "car": 26, "truck": 27,
    "bus": 28, "train": 31, "motorcycle": 32, "bicycle": 33,
}  # fmt: skip
"""The 19 classes that are trained on, in their usual order -> their values in the `labelIds` maps."""

_PICTURE, _MAP = "_leftImg8bit.png", "_gtFine_labelIds.png"


class Cityscapes(MaskFiles):
    """`leftImg8bit/<split>/<city>/*_leftImg8bit.png` with `gtFine/<split>/<city>/*_gtFine_labelIds.png`.

    There is no background: pixels of other classes count neither way. The maps of the test split hold no labels.
    """

    def __init__(self) -> None:
        super().__init__(images="leftImg8bit/{split}", masks="gtFine/{split}/{stem}" + _MAP)

    def class_names(self, root: Path) -> list[str]:
        return list(LABEL_IDS)

    def pairs(self, root: Path) -> list[tuple[str, str]]:
        return [(picture, mask.replace(f"_leftImg8bit{_MAP}", _MAP)) for picture, mask in super().pairs(root)]

    def read(self, root: Path, index: Index, row: int, kind: str) -> Any:
        values = read_mask(index.file(root, row, kind), index.size(row), 255, "Cityscapes' label ids")
        return _trained(index.classes.tolist())[values.long()]


def _trained(classes: Sequence[str]) -> torch.Tensor:
    """[256] uint8: label id -> the number of the class from 1; 255 for all that is not trained on."""
    table = torch.full((256,), IGNORE, dtype=torch.uint8)
    for number, name in enumerate(classes, 1):
        if name in LABEL_IDS:
            table[LABEL_IDS[name]] = number
    return table
