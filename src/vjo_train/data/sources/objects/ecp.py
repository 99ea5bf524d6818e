"""EuroCity Persons: the people of European cities by day and by night, a JSON file for each picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vjo_train.data.sources.objects.format_files import files_below
from vjo_train.data.sources.objects.own_file import picture_of
from vjo_train.data.sources.objects.records import Picture, Read, Thing
from vjo_train.data.sources.objects.shapes import of_corners, read_json, size_of
from vjo_train.data.sources.objects.source import ObjectFiles
from vjo_train.errors import DataError

NAMES = ("pedestrian", "rider")
"""The classes."""
GROUPS = {"person-group-far-away": "pedestrian", "rider+vehicle-group-far-away": "rider"}
"""Regions of people who were not told apart, and the class that they may be of: the benchmark ignores them."""


class EuroCityPersons(ObjectFiles):
    """`ECP/day/labels/train/amsterdam/x.json` with `ECP/day/img/train/amsterdam/x.png`, and so in `night/`.

    A file has `imagewidth`, `imageheight` and `children`: an `identity`, x0, y0, x1, y1 in pixels and `tags` for each.
    Groups far away and people of the tag `depiction`, as on posters, are difficult, as in the benchmark. Vehicles and
    groups of them are no objects, nor is what a rider rides, which is among the children of the rider.
    """

    what = "JSON file in labels/<split>/<city>/, as of EuroCity Persons"

    def files(self, root: Path) -> list[Path]:
        folder, above = f"{os.sep}labels{os.sep}", len(str(root))
        return [path for path in files_below(root, ".json") if folder in str(path)[above:]]

    def records(self, root: Path, files: Sequence[Path]) -> Read:
        return Read([picture_of(root, file, _fill) for file in files], NAMES)


def _fill(picture: Picture) -> None:
    file = picture.file
    picture.name = f"{file.parent.name}/{file.stem}"
    content = read_json(file)
    children = content.get("children") if isinstance(content, dict) else None
    if not isinstance(children, list):
        raise DataError(f"{file}: found no list 'children'; must be JSON of EuroCity Persons.")
    found = [_thing(file, f"child {number}", one) for number, one in enumerate(children, 1)]
    picture.things = [thing for thing in found if thing is not None]
    if others := len(found) - len(picture.things):
        picture.notes.append(("other classes left out", f"{others} are no people, such as parked bicycles"))
    picture.size = size_of(content.get("imageheight"), content.get("imagewidth"))


def _thing(file: Path, where: str, child: Any) -> Thing | None:
    """The person, or group; None for what is neither."""
    try:
        name, tags = child["identity"], child.get("tags") or ()
        box = of_corners(child[key] for key in ("x0", "y0", "x1", "y1"))
        ignored = name in GROUPS or "depiction" in tags
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        said = f"{file}: {where}: found {str(child)[:60]}; must have an identity, and numbers in x0, y0, x1, y1"
        raise DataError(f"{said}.") from error
    if name not in NAMES and name not in GROUPS:
        return None
    return Thing(GROUPS.get(name, name), box, difficult=ignored, where=where)
