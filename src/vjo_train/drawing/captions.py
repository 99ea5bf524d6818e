"""Frames, name tags and captions on a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from vjo_train.drawing.palette import Colour, class_colour, text_colour

Box = tuple[float, float, float, float]

PAPER: Colour = (255, 255, 255)
INK: Colour = (40, 40, 40)
FAINT: Colour = (130, 130, 130)


def draw_boxes(picture: Image.Image, boxes: Sequence[Box], labels: Sequence[int], names: Sequence[str]) -> None:
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


def with_caption(picture: Image.Image, title: str, chips: Sequence[tuple[str, Colour]]) -> Image.Image:
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
