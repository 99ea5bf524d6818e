"""A page of pictures with their labels, split by split."""

from __future__ import annotations

import base64
import io
import logging
from pathlib import Path

from vjo_train.data.datamodule import DataModule
from vjo_train.files import write_atomically
from vjo_train.pages.blocks import Picture, Pictures, Section
from vjo_train.pages.page import render
from vjo_train.report.drawing import draw_target
from vjo_train.report.inspection import Rows, some

log = logging.getLogger("vjo_train")

FILE = "show.html"
PICTURES = 48
"""Of each split, drawn by the seed."""
SIDE = 280


def write(data: DataModule, output: Path) -> None:
    """Writes `show.html`: pictures of each split with all that is annotated on them.

    Raises:
        DataError: a broken annotation, or a broken image among those shown.
    """
    parts = {"train": data.train_rows, "val": data.val_rows, "test": data.rows(data.test_split)}
    sections = [_section(data, name, rows) for name, rows in parts.items() if len(rows)]
    write_atomically(output / FILE, render(f"Pictures of {data.root}", sections=sections))
    log.info("Pictures: %s", output / FILE)


def _section(data: DataModule, name: str, rows: Rows) -> Section:
    batch = some(data, rows, PICTURES)
    pictures = []
    for place, image in enumerate(batch.ids):
        height, width = batch.targets[place].size
        original, pixels = batch.originals[place], batch.images[place, :, :height, :width]
        drawn = draw_target(pixels, original, data.source.kinds, data.classes, side=SIDE, caption="")
        buffer = io.BytesIO()
        drawn.save(buffer, "JPEG", quality=82, optimize=True)
        labelled = ", ".join(sorted(original.labelled)) or "nothing"
        source = f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
        pictures.append(Picture(source, [image, f"labelled: {labelled}"], f"image {image} with its labels"))
    shown = f"{len(pictures)} of {len(rows)}" if len(rows) > len(pictures) else f"All {len(rows)}"
    return Section(name, [Pictures("", pictures)], f"{shown} images.")
