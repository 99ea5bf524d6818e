"""Depth and normals as colours."""

from __future__ import annotations

from torch import Tensor

from vjo_train.drawing.sheet import Sheet


def draw_depth(sheet: Sheet, depth: Tensor) -> None:
    """A map [H, W] in colours from its own least to its own greatest value; NaN stays clear."""
    known = depth[depth.isfinite()]
    if len(known):
        sheet.values(depth, float(known.min()), float(known.max()))


def draw_normals(sheet: Sheet, normals: Tensor) -> None:
    """Components [3, H, W] from -1 to 1 as red, green and blue from none to full, as is usual; NaN stays clear."""
    sheet.colours((normals + 1) * 127.5)
