"""BDD100K's JSON, which Scalabel writes too: frames with their labels."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vjo_train.data.sources.coco.document import start, values
from vjo_train.data.sources.objects.format_files import asked_files, format_files
from vjo_train.data.sources.objects.records import Picture, Read, Thing
from vjo_train.data.sources.objects.shapes import curved, of_corners
from vjo_train.data.sources.objects.signs import head, is_bdd100k
from vjo_train.data.sources.objects.source import ObjectFiles
from vjo_train.data.sources.split_names import split_of_file
from vjo_train.errors import DataError

NAMES = (
    *("pedestrian", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle"),
    *("traffic light", "traffic sign"),
)
"""The classes of the benchmark, in its order."""
UNCERTAIN = {"other person": "pedestrian", "other vehicle": "car", "trailer": "truck"}
"""What the benchmark ignores, and the class that it may be of."""
_OPENING = re.compile(rb"(\xef\xbb\xbf)?\s*\[")


class BDD100K(ObjectFiles):
    """`labels/det_20/det_train.json` and the like: a list of frames, or one in `frames`, or a file for each picture.

    Where the files of a folder have boxes (`box2d`), these are the objects, with their pixels where they have `poly2d`
    or `rle`; labels without a box, such as lanes and drivable areas, are left out. In folders without boxes, closed
    polygons and run lengths are the objects. Labels with the attribute `crowd` or `ignored` are difficult, and so are
    those that the benchmark ignores: `UNCERTAIN`. A frame without labels shows nothing.

    Args:
        images: the folder that pictures are looked for in, below the root, such as `images/100k`.
        file: the JSON files below the root, as a path or pattern; None: those in folders with boxes, else
            all of the format.
    """

    what = "JSON file of BDD100K, with frames and labels"
    remedy = "dataset.source.file takes some of the files, by a path or a pattern"

    def __init__(self, *, images: str = ".", file: str | None = None) -> None:
        super().__init__(images=images)
        self.file = file

    def files(self, root: Path) -> list[Path]:
        if self.file is not None:
            return asked_files(root, self.file)
        found = format_files(root, (".json",), is_bdd100k)
        boxed = _with_boxes(found)
        return [path for path in found if path.parent in boxed] or found

    def records(self, root: Path, files: Sequence[Path]) -> Read:
        pictures: list[Picture] = []
        boxed = _with_boxes(files)
        for file in files:
            split = split_of_file(file, root)
            frames = enumerate(_frames(file), 1)
            pictures += [_picture(file, split, number, frame, file.parent in boxed) for number, frame in frames]
        found = {thing.name for picture in pictures for thing in picture.things}
        return Read(pictures, [name for name in NAMES if name in found])


def _with_boxes(files: Sequence[Path]) -> set[Path]:
    """Folders in which a file has boxes."""
    return {file.parent for file in files if b'"box2d"' in head(file)}


def _frames(file: Path) -> Iterator[Any]:
    """Each frame, with its name and labels; in the first release, a file of its name has the objects of one."""
    if opening := _OPENING.match(head(file)):
        yield from values(file, opening.end(), "frames")
        return
    place = start(file, "frames")
    if place is None:
        raise DataError(f"{file}: found no list of frames; must be JSON of BDD100K.")
    for frame in values(file, place, "frames"):
        alone = isinstance(frame, dict) and "name" not in frame and "objects" in frame
        yield {"name": file.stem, "labels": frame["objects"]} if alone else frame


def _picture(file: Path, split: str, number: int, frame: Any, boxed: bool) -> Picture:
    if not isinstance(frame, dict) or not isinstance(frame.get("name"), str) or not frame["name"].strip():
        raise DataError(f"{file}: frame {number}: found {str(frame)[:60]}; must have a name and labels.")
    video = frame.get("videoName")
    name = f"{video}/{frame['name']}" if isinstance(video, str) and video else frame["name"]
    picture = Picture(name, file, split)
    left_out = 0
    for place, label in enumerate(frame.get("labels") or [], 1):
        where = f"{frame['name'][:80]}: label {place}"
        try:
            thing = _thing(label, where, boxed)
        except (ValueError, TypeError, KeyError, OverflowError, AttributeError):
            said = f"{file}: {where}: found {str(label)[:80]}; must have a category, and numbers in its box2d or poly2d"
            picture.fault = picture.fault or f"{said}."
            continue
        left_out += thing is None
        picture.things += [] if thing is None else [thing]
    if left_out:
        picture.notes.append(("labels left out", f"{frame['name'][:80]}: {left_out} are no objects, such as lanes"))
    return picture


def _thing(label: Mapping[str, Any], where: str, boxed: bool) -> Thing | None:
    """The object; None for what is none. Raises what a label without its numbers does."""
    box, attributes = label.get("box2d"), label.get("attributes") or {}
    if boxed and box is None:
        return None
    outline = _outline(label)
    if box is None and outline is None:
        return None
    name = str(label["category"]).strip()
    difficult = name in UNCERTAIN or any(attributes.get(key) in (True, "true") for key in ("crowd", "ignored"))
    thing = Thing(UNCERTAIN.get(name, name), outline=outline, difficult=difficult, where=where)
    return thing if box is None else thing._replace(box=of_corners(box[key] for key in ("x1", "y1", "x2", "y2")))


def _outline(label: Mapping[str, Any]) -> Any:
    """Run lengths, or closed polygons; None where there are none."""
    if label.get("rle") is not None:
        return label["rle"]
    polygons = []
    for polygon in label.get("poly2d") or []:
        if not isinstance(polygon, dict):  # a point [x, y, type] of the first release, whose polygons are no objects
            return None
        if polygon.get("closed", True):
            points = [(float(x), float(y)) for x, y in polygon["vertices"]]
            polygons.append(curved(points, str(polygon.get("types") or "L" * len(points))))
    return [polygon for polygon in polygons if len(polygon) >= 6] or None
