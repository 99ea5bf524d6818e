"""The kind `human_parts`: which part of a person every pixel shows."""

from __future__ import annotations

from typing import ClassVar

from vjo_train.data.labels.semantic import Semantic


class HumanParts(Semantic):
    """[H, W] uint8, as `semantic`: 0 background, k + 1 for class k, 255 ignored; the classes are parts."""

    name: ClassVar[str] = "human_parts"
