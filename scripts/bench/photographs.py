"""Pictures to predict on: of `$VJO_SHARED/VOCdevkit` where that variable is set, else drawn ones of their size."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from vjo_train.data.shapes import Shapes

SIDE = 433
"""Of a drawn picture: 433 x 433 has the pixels of 500 x 375."""


def photographs(folder: Path, count: int) -> tuple[Path, str]:
    """Puts `count` pictures into a folder; returns it, and what they are."""
    chosen = folder / "photographs"
    shared = os.environ.get("VJO_SHARED")
    if shared:
        there = Path(shared) / "VOCdevkit/VOC2007/JPEGImages"
    else:
        Shapes(train=count, val=1, test=1, masked=0, image_size=SIDE).write(folder / "drawn")
        there = folder / "drawn/JPEGImages"
    files = sorted(there.glob("*.jpg"))
    chosen.mkdir()
    for number in range(count):
        shutil.copy(files[number % len(files)], chosen / f"{number:05d}.jpg")
    return chosen, f"{count}, {f'{min(count, len(files))} of VOC 2007' if shared else 'drawn'}"
