"""LabelMe: a JSON file for each picture, beside it."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vjo_train.data.opening import BROKEN
from vjo_train.data.sources.objects.format_files import format_files
from vjo_train.data.sources.objects.own_file import picture_of
from vjo_train.data.sources.objects.records import Picture, Read, Thing
from vjo_train.data.sources.objects.shapes import around, ellipse, finite, joined, pasted, read_json, size_of
from vjo_train.data.sources.objects.signs import is_labelme
from vjo_train.data.sources.objects.source import ObjectFiles
from vjo_train.errors import DataError


class LabelMe(ObjectFiles):
    """The program's JSON files, in one folder or in folders of splits; also those that X-AnyLabeling and others write.

    Polygons, circles and masks are objects with their pixels, rectangles and turned rectangles are boxes without.
    Shapes with the same `group_id` and label are parts of one object. Points and lines are no objects; the log counts
    them.
    """

    what = "JSON file of LabelMe, with imagePath and shapes"

    def files(self, root: Path) -> list[Path]:
        return format_files(root, (".json",), is_labelme)

    def records(self, root: Path, files: Sequence[Path]) -> Read:
        return Read([picture_of(root, file, _fill) for file in files])


def _fill(picture: Picture) -> None:
    content = read_json(picture.file)
    shapes = content.get("shapes") if isinstance(content, dict) else None
    if not isinstance(shapes, list):
        raise DataError(f"{picture.file}: found no list 'shapes'; must be a JSON file of LabelMe.")
    picture.size = size_of(content.get("imageHeight"), content.get("imageWidth"))
    if isinstance(name := content.get("imagePath"), str) and name.strip():
        picture.name = name
    found = [_thing(shape, number, picture) for number, shape in enumerate(shapes, 1)]
    picture.things = joined(pair for pair in found if pair is not None)


def _thing(shape: Any, number: int, picture: Picture) -> tuple[Any, Thing] | None:
    """The number of its group and the object; None for what is no object."""
    where = f"shape {number}"
    if not isinstance(shape, dict) or not isinstance(shape.get("label"), str):
        raise DataError(f"{picture.file}: {where}: found no label; must be a shape of LabelMe.")
    kind, name = str(shape.get("shape_type") or "polygon"), shape["label"].strip()
    points = _points(shape.get("points"), f"{picture.file}: {where}")
    thing = Thing(name, where=where)
    if kind == "rectangle" and len(points) in (2, 4):
        return None, thing._replace(box=around(points))
    if kind in ("rotation", "oriented_rectangle") and len(points) == 4:
        return None, thing._replace(box=around(points))
    if kind == "circle" and len(points) == 2:
        radius = math.dist(*points)
        return shape.get("group_id"), thing._replace(outline=[ellipse(*points[0], radius, radius)])
    if kind == "mask" and len(points) == 2 and picture.size is not None:
        return None, thing._replace(box=around(points), outline=_mask(shape, points[0], picture, where))
    if kind == "polygon" and len(points) > 2:
        return shape.get("group_id"), thing._replace(outline=[[side for point in points for side in point]])
    if kind in ("point", "line", "linestrip", "points", "polygon"):
        said = f"{where} ({name}): a {kind}" + (" of less than 3 points" if kind == "polygon" else "")
        picture.notes.append(("shape left out", said))
        return None
    raise DataError(f"{picture.file}: {where}: found the shape_type '{kind[:40]}' of {len(points)} points.")


def _points(points: Any, where: str) -> list[tuple[float, float]]:
    try:
        return [(finite(x), finite(y)) for x, y in points]
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"{where}: found the points {str(points)[:60]}; must be pairs of numbers.") from None


def _mask(shape: dict[str, Any], corner: tuple[float, float], picture: Picture, where: str) -> dict[str, Any]:
    """Run lengths of the small picture that a shape holds."""
    assert picture.size is not None, "asked for where it is known"
    try:
        with Image.open(io.BytesIO(base64.b64decode(str(shape.get("mask"))))) as image:
            own = np.asarray(image.convert("L")) > 0
    except BROKEN as error:
        raise DataError(f"{picture.file}: {where}: found a mask that is no picture ({str(error)[:60]}).") from error
    return pasted(own, int(corner[0]), int(corner[1]), picture.size)
