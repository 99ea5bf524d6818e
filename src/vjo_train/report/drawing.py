"""Pictures of predictions and of ground truth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from vjo_train.report.captions import PAPER, Box, draw_boxes, with_caption
from vjo_train.report.overlays import overlay_masks, overlay_semantic
from vjo_train.report.palette import Colour, class_colour
from vjo_train.types import Batch, Detections, Target


def draw_prediction(
    image: Tensor,
    predictions: Mapping[str, Any],
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
        predictions: task -> `Detections` (boxes, and masks if any), class scores [C] (0..1; the best go into the
            caption), or a semantic map [h, w] of 0 background, k + 1 for class k. Where one task finds boxes and
            another boxes with masks, the masks of the one lie below the boxes of the other: two frames and tags around
            each object could not be read.
        classes: the names of the C classes.
        size: (height, width) of the image file, in whose pixels the predictions are; the image's by default.
        side: the longest side of the drawn image in pixels; the image's by default. Small images are easier to
            read when enlarged.
        threshold: detections with a lower score are left out.
        caption: the first word below the image.

    Raises:
        TypeError: a prediction is of no kind that can be drawn.
    """
    picture, factor = _canvas(image, size, side)
    scores: Tensor | None = None
    found: list[Detections] = []
    for task, value in predictions.items():
        if isinstance(value, Detections):
            found.append(value)
        elif isinstance(value, Tensor) and value.ndim == 1:
            scores = value
        elif isinstance(value, Tensor) and value.ndim == 2:
            picture = overlay_semantic(picture, value)
        else:
            raise TypeError(f"predictions[{task!r}]: found {type(value).__name__}; cannot be drawn.")
    for detections in found:
        picture = _overlay_detections(picture, detections, threshold)
    for detections in [one for one in found if one.masks is None] or found:
        _draw_detections(picture, detections, classes, factor, threshold)
    chips = [] if scores is None else _best(scores, classes)
    return with_caption(picture, caption, chips)


def draw_target(
    image: Tensor,
    target: Target,
    classes: Sequence[str],
    *,
    side: int | None = None,
    caption: str = "ground truth",
) -> Image.Image:
    """One image with its annotation, in the pixels of `target.size`; difficult objects are marked with `?`."""
    picture, factor = _canvas(image, target.size, side)
    if "semantic" in target.labelled and target.semantic is not None:
        picture = overlay_semantic(picture, target.semantic[: target.size[0], : target.size[1]])
    if "boxes" in target.labelled:
        names = [
            classes[label] + ("?" if difficult else "")
            for label, difficult in zip(target.labels.tolist(), target.difficult.tolist(), strict=True)
        ]
        masks = target.masks if "masks" in target.labelled else None
        if masks is not None:
            picture = overlay_masks(picture, masks[:, : target.size[0], : target.size[1]], target.labels.tolist())
        draw_boxes(picture, _scaled(target.boxes, factor), target.labels.tolist(), names)
    chips = []
    if "classes" in target.labelled:
        present = (target.classes == 1).nonzero().flatten().tolist()
        chips = [(classes[label], class_colour(label)) for label in present]
    return with_caption(picture, caption, chips)


def draw_batch(
    batch: Batch,
    predictions: Mapping[str, Sequence[Any]],
    classes: Sequence[str],
    *,
    truth: bool = True,
    limit: int = 8,
    columns: int | None = None,
    side: int = 320,
    threshold: float = 0.4,
) -> Image.Image:
    """The first `limit` images of an evaluation batch, each with its prediction and, beside it, its ground truth.

    Args:
        batch: must carry `originals`.
        predictions: task -> one prediction per image, as `Head.decode` gives them.
        classes: the names of the classes.
        truth: show the ground truth too.
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
        panel = draw_prediction(image, mine, classes, size=original.size, side=side, threshold=threshold)
        if truth:
            panel = grid([draw_target(image, original, classes, side=side), panel], columns=2, gap=2)
        panels.append(panel)
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


def _shown(detections: Detections, threshold: float) -> Detections:
    """Those with at least this score, on the CPU; the best last, so that it lies on top."""
    known = detections.to("cpu")
    keep = torch.nonzero(known.scores >= threshold).flatten().flip(0)
    masks = None if known.masks is None else known.masks[keep]
    return Detections(known.boxes[keep], known.scores[keep], known.labels[keep], masks)


def _overlay_detections(picture: Image.Image, detections: Detections, threshold: float) -> Image.Image:
    shown = _shown(detections, threshold)
    return picture if shown.masks is None else overlay_masks(picture, shown.masks, shown.labels.tolist())


def _draw_detections(
    picture: Image.Image, detections: Detections, classes: Sequence[str], factor: tuple[float, float], threshold: float
) -> None:
    shown = _shown(detections, threshold)
    labels = shown.labels.tolist()
    names = [f"{classes[label]} {score:.2f}" for label, score in zip(labels, shown.scores.tolist(), strict=True)]
    draw_boxes(picture, _scaled(shown.boxes, factor), labels, names)


def _best(scores: Tensor, classes: Sequence[str], threshold: float = 0.5) -> list[tuple[str, Colour]]:
    """The classes with a score of at least `threshold`, best first; the best one alone where there is none."""
    values, order = scores.detach().float().cpu().sort(descending=True)
    count = max(1, int((values >= threshold).sum()))
    pairs = zip(values[:count].tolist(), order[:count].tolist(), strict=True)
    return [(f"{classes[label]} {value:.2f}", class_colour(label)) for value, label in pairs]


def _canvas(image: Tensor, size: tuple[int, int] | None, side: int | None) -> tuple[Image.Image, tuple[float, float]]:
    """The picture at its drawn size, and its (horizontal, vertical) pixels per pixel of the image file."""
    if image.dtype != torch.uint8 or image.ndim != 3 or image.shape[0] != 3:
        raise TypeError(f"image: found {image.dtype} {list(image.shape)}; uint8 [3, H, W] is needed.")
    height, width = size or (image.shape[1], image.shape[2])
    scale = side / max(height, width) if side else max(image.shape[1:]) / max(height, width)
    shown = (max(1, round(width * scale)), max(1, round(height * scale)))
    picture = Image.fromarray(image.detach().cpu().permute(1, 2, 0).contiguous().numpy())
    if picture.size != shown:
        picture = picture.resize(shown, Image.Resampling.LANCZOS)
    return picture, (shown[0] / width, shown[1] / height)


def _scaled(boxes: Tensor, factor: tuple[float, float]) -> list[Box]:
    return [(x1 * factor[0], y1 * factor[1], x2 * factor[0], y2 * factor[1]) for x1, y1, x2, y2 in boxes.tolist()]
