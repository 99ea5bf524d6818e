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
    """Lines and dots in the colours of the classes, with a contrasting edge, so that they stand out on masks too.

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
        contrast = text_colour(colour)
        joined = [(points[first], points[second]) for first, second in edges]
        for fill, width in ((contrast, line + 2), (colour, line)):
            for one, other in joined:
                if one is not None and other is not None:
                    draw.line([one, other], fill=fill, width=width)
        for dot in points:
            if dot is not None:
                x, y = dot
                around = (x - 2 * line, y - 2 * line, x + 2 * line, y + 2 * line)
                draw.ellipse(around, fill=colour, outline=contrast)
