"""CreateML's JSON, as Roboflow, RectLabel and others export it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vjo_train.data.sources.objects.format_files import format_files
from vjo_train.data.sources.objects.records import Picture, Read, Thing
from vjo_train.data.sources.objects.shapes import finite, read_json
from vjo_train.data.sources.objects.signs import is_createml
from vjo_train.data.sources.objects.source import ObjectFiles
from vjo_train.data.sources.split_names import split_of_file
from vjo_train.errors import DataError


class CreateML(ObjectFiles):
    """Lists of pictures with the middle, width and height of each box; `train/_annotations.createml.json` and the like.

    The folder of a file may be the split, or its name.
    """

    what = "JSON file of CreateML, with image and annotations"

    def files(self, root: Path) -> list[Path]:
        return format_files(root, (".json",), is_createml)

    def records(self, root: Path, files: Sequence[Path]) -> Read:
        return Read([picture for file in files for picture in _pictures(root, file)])


def _pictures(root: Path, file: Path) -> list[Picture]:
    split = split_of_file(file, root)
    content = read_json(file)
    found = []
    for number, entry in enumerate(content if isinstance(content, list) else [content], 1):
        name = entry.get("image", entry.get("imagefilename")) if isinstance(entry, dict) else None
        things = entry.get("annotations", entry.get("annotation")) if isinstance(entry, dict) else None
        if not isinstance(name, str) or not name.strip() or not isinstance(things, list):
            raise DataError(f"{file}: entry {number}: found {str(entry)[:60]}; must have an image and annotations.")
        picture = Picture(name, file, split)
        try:
            picture.things = [_thing(one, f"{name[:80]}: annotation {place}") for place, one in enumerate(things, 1)]
        except (KeyError, TypeError, ValueError, OverflowError):
            said = f"{file}: {name[:80]}: found {str(things)[:80]}; each must have a label, and numbers in coordinates"
            picture.fault = f"{said}."
        found.append(picture)
    return found


def _thing(found: Any, where: str) -> Thing:
    x, y, width, height = (finite(found["coordinates"][key]) for key in ("x", "y", "width", "height"))
    box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return Thing(str(found["label"]).strip(), box, where=where)
