"""Supervisely's projects: a JSON file for each picture, in `ann/` beside `img/`."""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from vjo_train.data.opening import BROKEN
from vjo_train.data.sources.objects.format_files import files_below
from vjo_train.data.sources.objects.own_file import picture_of
from vjo_train.data.sources.objects.records import Picture, Read, Thing
from vjo_train.data.sources.objects.shapes import around, bounds, finite, pasted, read_json, size_of
from vjo_train.data.sources.objects.source import ObjectFiles
from vjo_train.errors import DataError


class Supervisely(ObjectFiles):
    """`meta.json`, `<dataset>/img/a.jpg` and `<dataset>/ann/a.jpg.json`, also the sets that Dataset Ninja offers.

    Polygons and bitmaps are objects with their pixels, rectangles are boxes without; points, lines and key points are
    left out, and counted in the log. The order of the classes is that of `meta.json`. Datasets may be named for splits.
    """

    what = "folder ann/ of JSON files, such as train/ann/a.jpg.json"

    def files(self, root: Path) -> list[Path]:
        return [path for path in files_below(root, ".json") if path.parent.name == "ann"]

    def records(self, root: Path, files: Sequence[Path]) -> Read:
        pictures = [picture_of(root, file, _fill) for file in files]
        found = {thing.name for picture in pictures for thing in picture.things}
        return Read(pictures, [name for name in _names(root) if name in found])


def _names(root: Path) -> list[str]:
    """The classes of `meta.json`, in its order; none where there is none."""
    meta = read_json(root / "meta.json") if (root / "meta.json").is_file() else {}
    known = meta.get("classes") if isinstance(meta, dict) else None
    titles = [one.get("title") for one in known or [] if isinstance(one, dict)]
    return [title.strip() for title in titles if isinstance(title, str)]


def _fill(picture: Picture) -> None:
    picture.name = f"../img/{picture.file.stem}"
    content = read_json(picture.file)
    objects = content.get("objects") if isinstance(content, dict) else None
    if not isinstance(objects, list):
        raise DataError(f"{picture.file}: found no list 'objects'; must be JSON of Supervisely.")
    size = content.get("size")
    picture.size = size_of(size.get("height"), size.get("width")) if isinstance(size, dict) else None
    found = [_thing(one, f"object {number}", picture) for number, one in enumerate(objects, 1)]
    picture.things = [thing for thing in found if thing is not None]


def _thing(found: Any, where: str, picture: Picture) -> Thing | None:
    try:
        thing = Thing(found["classTitle"].strip(), where=where)
        kind = found.get("geometryType", "bitmap" if found.get("bitmap") else "polygon")
        if kind == "bitmap":
            return _bitmap(found["bitmap"], thing, picture)
        if kind in ("rectangle", "polygon"):
            points = _points(found["points"]["exterior"])
            if kind == "rectangle":
                left, top, right, bottom = around(points)  # the last pixels are inside
                return thing._replace(box=(left, top, right + 1, bottom + 1))
            if len(points) > 2:
                return _polygon(
                    points, [_points(hole) for hole in found["points"].get("interior") or []], thing, picture
                )
    except (*BROKEN, AttributeError) as error:
        said = f"{picture.file}: {where}: found {str(found)[:80]}; must have a classTitle and its points or bitmap"
        raise DataError(f"{said}.") from error
    picture.notes.append(("object left out", f"{where} ({thing.name}): a {str(kind)[:40]}"))
    return None


def _points(found: Any) -> list[tuple[float, float]]:
    points = [(finite(x), finite(y)) for x, y in found]
    if not points:
        raise ValueError(found)
    return points


def _polygon(
    points: Sequence[tuple[float, float]],
    holes: Sequence[Sequence[tuple[float, float]]],
    thing: Thing,
    picture: Picture,
) -> Thing:
    if not holes:
        return thing._replace(outline=[[side for point in points for side in point]])
    mask = np.zeros(_size(picture, thing), np.uint8)
    for ring, value in ((points, 1), *((hole, 0) for hole in holes)):
        cv2.fillPoly(mask, [np.array(ring).round().clip(-(2**15), 2**15).astype(np.int32)], value)
    return thing._replace(box=around(points), outline=pasted(mask > 0, 0, 0, mask.shape))


def _bitmap(found: Any, thing: Thing, picture: Picture) -> Thing:
    """The object of a packed PNG, whose last channel says which pixels are its own."""
    left, top = (int(side) for side in found["origin"])
    with Image.open(io.BytesIO(zlib.decompress(base64.b64decode(found["data"])))) as image:
        own: npt.NDArray[np.uint8] = np.asarray(image.convert("L") if image.mode in "1LP" else image)
    mask = (own if own.ndim == 2 else own[..., -1]) > 0
    x1, y1, x2, y2 = bounds(mask)
    box = (left + x1, top + y1, left + x2, top + y2)
    return thing._replace(box=box, outline=pasted(mask, left, top, _size(picture, thing)))


def _size(picture: Picture, thing: Thing) -> tuple[int, int]:
    if picture.size is None or min(picture.size) < 1 or max(picture.size) > 1 << 16:
        raise DataError(f"{picture.file}: {thing.where}: found the size {picture.size}; must be a height and a width.")
    return picture.size
