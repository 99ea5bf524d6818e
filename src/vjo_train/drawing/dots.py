"""Points of objects, and the lines between them."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from vjo_train.drawing.palette import class_colour, text_colour

Dot = tuple[float, float]


def draw_points(
    picture: Image.Image,
    objects: Sequence[Sequence[Dot | None]],
    labels: Sequence[int],
    edges: Sequence[Sequence[int]],
) -> None:
    """Lines in the colours of the classes, and over them dots with a contrasting edge.

    Args:
        picture: is drawn on.
        objects: the K points of each of N objects in its pixels; None for those that are not known.
        labels: [N].
        edges: pairs of points that are joined where both are known.
    """
    draw = ImageDraw.Draw(picture)
    line = max(1, round(max(picture.size) / 240))
    for points, label in zip(objects, labels, strict=True):
        colour = class_colour(label)
        for first, second in edges:
            ends = points[first], points[second]
            if ends[0] is not None and ends[1] is not None:
                draw.line([ends[0], ends[1]], fill=colour, width=line)
        for dot in points:
            if dot is not None:
                x, y = dot
                around = (x - 2 * line, y - 2 * line, x + 2 * line, y + 2 * line)
                draw.ellipse(around, fill=colour, outline=text_colour(colour))
