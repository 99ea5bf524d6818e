"""Pictures of predictions and of ground truth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from vjo_train.report.palette import Colour, class_colour, text_colour
from vjo_train.types import IGNORE, Batch, Detections, Target

Box = tuple[float, float, float, float]

PAPER: Colour = (255, 255, 255)
INK: Colour = (40, 40, 40)
FAINT: Colour = (130, 130, 130)


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
    return _captioned(picture, caption, chips)


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
        _draw_boxes(picture, _scaled(target.boxes, factor), target.labels.tolist(), names)
    chips = []
    if "classes" in target.labelled:
        present = (target.classes == 1).nonzero().flatten().tolist()
        chips = [(classes[label], class_colour(label)) for label in present]
    return _captioned(picture, caption, chips)


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


def overlay_semantic(picture: Image.Image, semantic: Tensor, opacity: float = 0.55) -> Image.Image:
    """Lays the classes' colours over the picture; [h, w], 0 (background) and 255 (ignored) stay clear."""
    indices = _resized(semantic.detach().cpu().numpy().astype(np.uint8), picture.size)
    lookup = np.zeros((256, 3), dtype=np.uint8)
    lookup[1:255] = [class_colour(index - 1) for index in range(1, 255)]
    covered = (indices != 0) & (indices != IGNORE)
    return _blend(picture, lookup[indices], covered * opacity)


def overlay_masks(picture: Image.Image, masks: Tensor, labels: Sequence[int], opacity: float = 0.45) -> Image.Image:
    """Fills objects' masks [N, h, w] with their classes' colours, in order, and outlines them."""
    for mask, label in zip(masks.detach().cpu().numpy(), labels, strict=True):
        inside = _resized(mask.astype(np.uint8), picture.size).astype(bool)
        core = inside.copy()
        for axis in (0, 1):
            for step in (-1, 1):
                core &= np.roll(inside, step, axis)
        colour = np.broadcast_to(np.asarray(class_colour(label), dtype=np.uint8), (*inside.shape, 3))
        picture = _blend(picture, colour, np.where(core, opacity, np.where(inside, 1.0, 0.0)))
    return picture


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
    _draw_boxes(picture, _scaled(shown.boxes, factor), labels, names)


def _draw_boxes(picture: Image.Image, boxes: Sequence[Box], labels: Sequence[int], names: Sequence[str]) -> None:
    """Frames with a thin contrasting edge on both sides, so that they stand out on any background; then the tags."""
    draw = ImageDraw.Draw(picture)
    line = max(2, round(max(picture.size) / 180))
    font = _font(picture)
    for (left, top, right, bottom), label in zip(boxes, labels, strict=True):
        colour = class_colour(label)
        frame = (round(left), round(top), max(round(left), round(right) - 1), max(round(top), round(bottom) - 1))
        draw.rectangle(_grown(frame, 1), outline=text_colour(colour), width=line + 2)
        draw.rectangle(frame, outline=colour, width=line)
    taken: list[Box] = []
    for box, label, name in reversed(list(zip(boxes, labels, names, strict=True))):
        taken.append(_draw_tag(draw, picture.size, box, name, class_colour(label), font, taken))


def _draw_tag(
    draw: ImageDraw.ImageDraw,
    size: tuple[int, int],
    box: Box,
    name: str,
    colour: Colour,
    font: ImageFont.FreeTypeFont,
    taken: Sequence[Box],
) -> Box:
    """Writes `name` at the first place around `box` that is free of other tags; inside at the top if none is."""
    pad = max(2, round(font.size / 4))
    width, height = math.ceil(draw.textlength(name, font=font)) + 2 * pad, _line_height(font)
    left, top, right, bottom = box
    corners = [
        (left, top - height),
        (left, top),
        (right - width, top),
        (left, bottom - height),
        (right - width, bottom - height),
        (left, bottom),
    ]
    places = [_inside((x, y, x + width, y + height), size) for x, y in corners]
    free = (place for place in places if not any(_overlap(place, other) for other in taken))
    place = next(free, places[1])
    draw.rectangle((place[0], place[1], place[2] - 1, place[3] - 1), fill=colour)
    draw.text((place[0] + pad, (place[1] + place[3]) / 2), name, fill=text_colour(colour), font=font, anchor="lm")
    return place


def _captioned(picture: Image.Image, title: str, chips: Sequence[tuple[str, Colour]]) -> Image.Image:
    """The picture above a line with `title` and, as far as they fit, a coloured square and a text per chip."""
    font = _font(picture)
    height = _line_height(font) + 6
    sheet = Image.new("RGB", (picture.width, picture.height + height), PAPER)
    sheet.paste(picture, (0, 0))
    draw = ImageDraw.Draw(sheet)
    middle = picture.height + height / 2
    draw.text((2, middle), title, fill=FAINT, font=font, anchor="lm")
    x = 2 + draw.textlength(title, font=font) + font.size
    square = round(font.size * 0.7)
    for k, (text, colour) in enumerate(chips):
        end = x + square + 4 + draw.textlength(text, font=font)
        more = draw.textlength(" ...", font=font) if k < len(chips) - 1 else 0
        if end + more > picture.width:
            draw.text((x, middle), "...", fill=FAINT, font=font, anchor="lm")
            break
        draw.rectangle((x, middle - square / 2, x + square, middle + square / 2), fill=colour, outline=INK)
        draw.text((x + square + 4, middle), text, fill=INK, font=font, anchor="lm")
        x = end + font.size * 0.8
    return sheet


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


def _resized(values: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.fromarray(values).resize(size, Image.Resampling.NEAREST))


def _blend(picture: Image.Image, colour: npt.NDArray[np.uint8], opacity: npt.NDArray[Any]) -> Image.Image:
    """Mixes `colour` [H, W, 3] into the picture by `opacity` [H, W] in 0..1."""
    base = np.asarray(picture, dtype=np.float32)
    share = opacity.astype(np.float32)[..., None]
    return Image.fromarray((base * (1 - share) + colour * share).round().astype(np.uint8))


def _font(picture: Image.Image) -> ImageFont.FreeTypeFont:
    """The font that comes with Pillow, at a size that suits the picture."""
    font = ImageFont.load_default(size=min(28, max(10, round(max(picture.size) / 26))))
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return font


def _line_height(font: ImageFont.FreeTypeFont) -> int:
    ascent, descent = font.getmetrics()
    return ascent + descent + 2


def _grown(frame: tuple[int, int, int, int], by: int) -> tuple[int, int, int, int]:
    return frame[0] - by, frame[1] - by, frame[2] + by, frame[3] + by


def _inside(box: Box, size: tuple[int, int]) -> Box:
    """Moves a box, without resizing it, so that as much as possible of it lies in the picture."""
    left = max(0.0, min(box[0], size[0] - (box[2] - box[0])))
    top = max(0.0, min(box[1], size[1] - (box[3] - box[1])))
    return left, top, left + box[2] - box[0], top + box[3] - box[1]


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
