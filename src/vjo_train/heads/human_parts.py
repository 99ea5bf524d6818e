"""Segmentation of human parts: what part of a person every pixel shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from vjo_train.heads.semantic import DeepLabV3, SemanticFPN


class HumanPartsFPN(SemanticFPN):
    """As `SemanticFPN`, on images with an annotated person."""

    label: ClassVar[str] = "human_parts"
    needs: ClassVar[frozenset[str]] = frozenset({label})
    reported: ClassVar[Mapping[str, bool]] = {"miou": True}


class HumanPartsDeepLab(DeepLabV3):
    """As `DeepLabV3`, on images with an annotated person."""

    label: ClassVar[str] = "human_parts"
    needs: ClassVar[frozenset[str]] = frozenset({label})
    reported: ClassVar[Mapping[str, bool]] = {"miou": True}
