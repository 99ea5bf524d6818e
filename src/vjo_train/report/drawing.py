"""Pictures of predictions and of ground truth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image
from torch import Tensor

from vjo_train.data.labels.base import Kind
from vjo_train.drawing.captions import PAPER
from vjo_train.drawing.sheet import Sheet
from vjo_train.heads.merged import Shows
from vjo_train.types import Batch, Target


def draw_prediction(
    image: Tensor,
    predictions: Mapping[str, Any],
    heads: Mapping[str, Shows],
    classes: Sequence[str],
    *,
    size: tuple[int, int] | None = None,
    side: int | None = None,
    threshold: float = 0.4,
    caption: str = "prediction",
) -> Image.Image:
    """One image with the predictions of all tasks, above a caption.

    Args:
        image: uint8 [3, H, W].
        predictions: task -> its prediction for the image, in the classes of the data set.
        heads: task -> what draws it.
        classes: the names of the C classes.
        size: (height, width) of the image file, in whose pixels the predictions are; the image's by default.
        side: the longest side of the drawn image in pixels; the image's by default. Small images are easier to
            read when enlarged.
        threshold: detections with a lower score are left out.
        caption: the first word below the image.
    """
    sheet = Sheet(image, size=size, side=side, threshold=threshold)
    for task, prediction in predictions.items():
        heads[task].draw(sheet, prediction, classes)
    return sheet.finished(caption)


def draw_target(
    image: Tensor,
    target: Target,
    kinds: Sequence[Kind],
    classes: Sequence[str],
    *,
    side: int | None = None,
    caption: str = "ground truth",
) -> Image.Image:
    """One image with its labels, in the pixels of `target.size`; difficult objects are marked with `?`."""
    sheet = Sheet(image, size=target.size, side=side)
    for kind in kinds:
        if kind.name in target:
            kind.draw(sheet, target, classes)
    return sheet.finished(caption)


def draw_batch(
    batch: Batch,
    predictions: Mapping[str, Sequence[Any]],
    heads: Mapping[str, Shows],
    kinds: Sequence[Kind],
    classes: Sequence[str],
    *,
    limit: int = 8,
    columns: int | None = None,
    side: int = 320,
    threshold: float = 0.4,
) -> Image.Image:
    """The first `limit` images of an evaluation batch, each with its ground truth and its prediction side by side.

    Args:
        batch: must carry `originals`.
        predictions: task -> one prediction per image, in the classes of the data set.
        heads: task -> what draws its predictions.
        kinds: what draws the ground truth.
        classes: the names of the classes.
        limit: how many images at most.
        columns: images per row; by default as many as make the grid about as wide as high.
        side: the longest side of each drawn image.
        threshold: detections with a lower score are left out.
    """
    panels = []
    for k in range(min(limit, len(batch))):
        height, width = batch.targets[k].size
        image, original = batch.images[k, :, :height, :width], batch.originals[k]
        mine = {task: values[k] for task, values in predictions.items()}
        panel = draw_prediction(image, mine, heads, classes, size=original.size, side=side, threshold=threshold)
        truth = draw_target(image, original, kinds, classes, side=side)
        panels.append(grid([truth, panel], columns=2, gap=2))
    return grid(panels, columns=columns)


def grid(pictures: Sequence[Image.Image], columns: int | None = None, gap: int = 12) -> Image.Image:
    """Pictures in rows on white; each row is as high as its highest picture.

    Raises:
        ValueError: there are no pictures.
    """
    if not pictures:
        raise ValueError("grid: found no pictures; at least one is needed.")
    if columns is None:
        wide = sum(p.width for p in pictures) / sum(p.height for p in pictures)
        columns = round(math.sqrt(len(pictures) / wide))
    columns = min(max(1, columns), len(pictures))
    rows = [pictures[k : k + columns] for k in range(0, len(pictures), columns)]
    widths = [max(row[c].width for row in rows if c < len(row)) for c in range(columns)]
    heights = [max(p.height for p in row) for row in rows]
    sheet = Image.new("RGB", (sum(widths) + gap * (columns - 1), sum(heights) + gap * (len(rows) - 1)), PAPER)
    for r, row in enumerate(rows):
        for c, picture in enumerate(row):
            sheet.paste(picture, (sum(widths[:c]) + gap * c, sum(heights[:r]) + gap * r))
    return sheet
