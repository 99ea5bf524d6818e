"""How much of the maps of classes each class takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track

from vjo_train.data.cuts import evenly
from vjo_train.data.datamodule import DataModule
from vjo_train.data.splits import MAPS_COUNTED
from vjo_train.errors import DataError
from vjo_train.types import IGNORE


def class_pixels(data: DataModule, rows: npt.NDArray[np.int64]) -> dict[str, dict[str, Any]]:
    """Kind of label -> what its maps show; only kinds that name the class of every pixel.

    Of more than `MAPS_COUNTED` maps, these many are read, evenly chosen. For each kind: `maps`, how many were read;
    `images`, how many of them show each class; `shares`, of all pixels that are not ignored; `background`, likewise;
    and `ignored`, the share of all pixels.

    Args:
        data: whose index is read.
        rows: of the images.
    """
    kinds = [kind.name for kind in data.source.kinds if kind.of_pixels]
    return {kind: _of_kind(data, rows[data.index.labelled[kind][rows]], kind) for kind in kinds}


def _of_kind(data: DataModule, rows: npt.NDArray[np.int64], kind: str) -> dict[str, Any]:
    chosen = evenly(rows, MAPS_COUNTED)
    shown, pixels = np.zeros(256, np.int64), np.zeros(256, np.int64)
    console = Console()
    for row in track(chosen.tolist(), kind, console=console, transient=True, disable=not console.is_terminal):
        found = np.asarray(data.source.read(data.root, data.index, row, kind))
        counts = np.bincount(found.reshape(-1), minlength=256)
        shown, pixels = shown + (counts > 0), pixels + counts
    wanted = names_of(data, kind)
    known = pixels.sum() - pixels[IGNORE]
    names = {name: place for place, name in enumerate(data.classes, 1) if name in wanted}
    return {
        "maps": len(chosen),
        "images": {name: int(shown[place]) for name, place in names.items()},
        "shares": {name: float(pixels[place] / max(known, 1)) for name, place in names.items()},
        "background": float(pixels[0] / max(known, 1)),
        "ignored": float(pixels[IGNORE] / max(pixels.sum(), 1)),
    }


def names_of(data: DataModule, kind: str) -> list[str]:
    """The classes that labels of a kind may name."""
    try:
        return data.source.class_names_of(data.root, kind)
    except DataError:  # the files name none
        return list(data.classes)
