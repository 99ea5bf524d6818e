"""Label Studio's own JSON: tasks with their annotations, or the short form."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from vjo_train.data.sources.objects.finding import Finder
from vjo_train.data.sources.objects.format_files import format_files
from vjo_train.data.sources.objects.label_studio_runs import unpacked
from vjo_train.data.sources.objects.records import Picture, Read, Thing
from vjo_train.data.sources.objects.shapes import around, bounds, ellipse, finite, pixels, read_json
from vjo_train.data.sources.objects.signs import is_label_studio
from vjo_train.data.sources.objects.source import ObjectFiles
from vjo_train.data.sources.pictures import is_picture
from vjo_train.data.sources.split_names import split_of_file
from vjo_train.errors import DataError

_UPLOADED = re.compile(r"[0-9a-f]{8}-")
"""What the program puts before the names of pictures that it was given."""


class LabelStudio(ObjectFiles):
    """The export named JSON, or JSON-MIN.

    Polygons, ellipses and brushes are objects with their pixels, rectangles are boxes without, also turned ones; other
    regions are left out, and counted in the log. Of several annotations of one picture the first counts that was not
    cancelled; a picture without any is not annotated. Pictures lie where the export of another form puts them, or under
    the names that they had when they were uploaded.
    """

    what = "JSON file of Label Studio"

    def files(self, root: Path) -> list[Path]:
        return format_files(root, (".json",), is_label_studio)

    def records(self, root: Path, files: Sequence[Path]) -> Read:
        finder = Finder(root, self.images)
        return Read([picture for file in files for picture in _pictures(root, file, finder)])


def _pictures(root: Path, file: Path, finder: Finder) -> Iterator[Picture]:
    split = split_of_file(file, root)
    tasks = read_json(file)
    for number, task in enumerate(tasks if isinstance(tasks, list) else [tasks], 1):
        name = _name(task) if isinstance(task, dict) else ""
        if not name or not isinstance(task.get("annotations") or [], list):
            raise DataError(f"{file}: task {number}: found {str(task)[:60]}; must name a picture and list annotations.")
        short = name.rpartition("/")[2]
        if (cut := _UPLOADED.match(short)) and not finder.find(name, ".", split):
            name = short[cut.end() :]
        picture = Picture(name, file, split, shares=True)
        regions, count = _regions(task)
        if count > 1:
            picture.notes.append(("several annotations", f"{name[:80]}: {count}, of which the first counts"))
        if count:
            _add(picture, regions)
            yield picture


def _name(task: Mapping[str, Any]) -> str:
    """The path of a task's picture: what its data has that looks like one."""
    values = task.get("data", task)
    texts = [text for text in values.values() if isinstance(text, str)] if isinstance(values, dict) else []
    paths = [unquote(text.rpartition("?d=")[2]).partition("?")[0] for text in texts]
    return next((path for path in paths if is_picture(path)), "")


def _regions(task: Mapping[str, Any]) -> tuple[Any, int]:
    """The regions of the first annotation that counts, and how many do."""
    if "annotations" in task:
        found = task["annotations"] or []
        counted = [one for one in found if isinstance(one, dict) and not one.get("was_cancelled")]
        return (counted[0].get("result") or [] if counted else []), len(counted)
    lists = [value for value in task.values() if isinstance(value, list) and value and isinstance(value[0], dict)]
    return [region for value in lists for region in value], 1


def _add(picture: Picture, regions: Any) -> None:
    """Adds the objects of a picture, or finds fault with it."""
    if not isinstance(regions, list) or not all(map(_is_region, regions)):
        picture.fault = f"{picture.file}: {picture.name[:80]}: found the result {str(regions)[:60]}; must be regions."
        return
    named = {str(region["id"]) for region in regions if "id" in region and _label(region)}
    for number, region in enumerate(regions, 1):
        where = f"{picture.name[:80]}: region {number}"
        try:
            thing = _thing(region, where)
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError):
            said = f"{picture.file}: {where}: found {str(region)[:80]}; must have a label and its numbers"
            picture.fault = picture.fault or f"{said}."
            continue
        if thing is not None:
            picture.things.append(thing)
        elif str(region.get("id")) not in named or _label(region):  # else another region has its label
            picture.notes.append(("region left out", f"{where}: {str(region.get('type', 'of another kind'))[:40]}"))


def _is_region(found: Any) -> bool:
    return isinstance(found, dict) and isinstance(found.get("value", found), dict)


def _value(region: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = region.get("value", region)
    return found


def _label(region: Mapping[str, Any]) -> str:
    """The first label; nothing where the region has none, or chooses one for the whole picture."""
    for key, value in _value(region).items():
        if (key.endswith("labels") or key == "labels") and isinstance(value, list) and value:
            return str(value[0]).strip()
    return ""


def _thing(region: Mapping[str, Any], where: str) -> Thing | None:
    """The object in shares of its picture; None for what is none. Raises what a region without its numbers does."""
    value, name = _value(region), _label(region)
    if not name:
        return None
    thing = Thing(name, where=where)
    width, height = float(region.get("original_width") or 1), float(region.get("original_height") or 1)
    if value.get("format") == "rle" or "rle" in value:
        return _brushed(value["rle"], int(width), int(height), thing)
    if "points" in value:
        corners = [finite(side) / 100 for point in value["points"] for side in point]
        return thing._replace(outline=[corners]) if len(corners) >= 6 else None
    turn = math.radians(finite(value.get("rotation") or 0))
    if "radiusX" in value:
        x, y, across, down = (finite(value[key]) / 100 for key in ("x", "y", "radiusX", "radiusY"))
        drawn = ellipse(x * width, y * height, across * width, down * height, turn)
        return thing._replace(outline=[[side / (height if place % 2 else width) for place, side in enumerate(drawn)]])
    if "width" not in value:
        return None
    x, y, across, down = (finite(value[key]) / 100 for key in ("x", "y", "width", "height"))
    return thing._replace(box=_turned(x, y, across, down, turn, width / height))


def _turned(
    x: float, y: float, across: float, down: float, turn: float, aspect: float
) -> tuple[float, float, float, float]:
    """The box around one that is turned about its upper left corner, in shares of a picture of `aspect` w / h."""
    if not turn:
        return x, y, x + across, y + down
    cos, sin = math.cos(turn), math.sin(turn)
    corners: Iterable[tuple[float, float]] = ((u, v) for u in (0, across) for v in (0, down))
    return around((x + u * cos - v * sin / aspect, y + u * sin * aspect + v * cos) for u, v in corners)


def _brushed(runs: Any, width: int, height: int, thing: Thing) -> Thing:
    mask = unpacked([int(byte) for byte in runs], width * height * 4).reshape(height, width, 4)[..., 3] > 0
    x1, y1, x2, y2 = bounds(mask)
    return thing._replace(box=(x1 / width, y1 / height, x2 / width, y2 / height), outline=pixels(mask))
