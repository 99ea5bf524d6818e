"""VIA, the VGG Image Annotator: JSON of regions, or a project, or its CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vjo_train.data.sources.objects.format_files import format_files
from vjo_train.data.sources.objects.records import Picture, Read, Thing
from vjo_train.data.sources.objects.shapes import ellipse, finite, of_sides, read_json
from vjo_train.data.sources.objects.signs import is_via
from vjo_train.data.sources.objects.source import ObjectFiles
from vjo_train.data.sources.split_names import split_of_file
from vjo_train.errors import DataError


class VIA(ObjectFiles):
    """`via_region_data.json`, a project of version 1 or 2, or the CSV that it exports.

    Polygons, circles and ellipses are objects with their pixels, rectangles are boxes without; points and lines are
    left out, and counted in the log. Every picture of the file is annotated, also one without regions. The folder of a
    file may be the split, such as `train/via_region_data.json`.

    Args:
        images: the folder that pictures are looked for in, below the root.
        attribute: of the regions, which holds their class; None: the only one, or `class`, `label`, `name` or `type`.
            Regions without attributes are all of one class.
    """

    what = "JSON or CSV file of VIA, with filename and regions"

    def __init__(self, *, images: str = ".", attribute: str | None = None) -> None:
        super().__init__(images=images)
        self.attribute = attribute

    def files(self, root: Path) -> list[Path]:
        found = format_files(root, (".json", ".csv"), is_via)
        whole = [path for path in found if path.suffix.lower() == ".json"]
        return whole or found  # the CSV beside it says the same

    def records(self, root: Path, files: Sequence[Path]) -> Read:
        return Read([picture for file in files for picture in self._pictures(root, file)])

    def _pictures(self, root: Path, file: Path) -> list[Picture]:
        split = split_of_file(file, root)
        entries = list(_of_csv(file) if file.suffix.lower() == ".csv" else _of_json(file))
        attribute = self.attribute or _attribute(file, [own for _, _, regions in entries for _, own in regions])
        pictures: dict[str, Picture] = {}
        for where, name, regions in entries:
            picture = pictures.setdefault(name, Picture(name, file, split))
            for number, (shape, own) in enumerate(regions, 1):
                place = f"{where}, region {number}"
                try:
                    _add(picture, shape, _value(own.get(attribute, "") if attribute else ""), place)
                except (ValueError, TypeError, KeyError, OverflowError):
                    said = f"{file}: {place}: found the shape {str(shape)[:80]}; must have its numbers"
                    picture.fault = picture.fault or f"{said}."
        return list(pictures.values())


Regions = Sequence[tuple[Any, Mapping[str, Any]]]
"""Shape and attributes of each."""


def _of_json(file: Path) -> Iterable[tuple[str, str, Regions]]:
    """(where, name of the picture, its regions)."""
    content = read_json(file)
    entries = content.get("_via_img_metadata", content) if isinstance(content, dict) else content
    if not isinstance(entries, dict | list):
        raise DataError(f"{file}: found no pictures; must be JSON of VIA.")
    for entry in entries.values() if isinstance(entries, dict) else entries:
        regions = entry.get("regions", []) if isinstance(entry, dict) else None
        own = list(regions.values()) if isinstance(regions, dict) else regions
        if not isinstance(own, list) or not isinstance(entry.get("filename"), str):
            raise DataError(f"{file}: found the entry {str(entry)[:60]}; must have a filename and regions.")
        yield f"picture {entry['filename'][:80]}", entry["filename"], [_region(file, one) for one in own]


def _region(file: Path, region: Any) -> tuple[Any, Mapping[str, Any]]:
    attributes = region.get("region_attributes") if isinstance(region, dict) else None
    if not isinstance(region, dict) or not isinstance(attributes or {}, dict):
        raise DataError(f"{file}: found the region {str(region)[:60]}; must have shape_attributes.")
    return region.get("shape_attributes"), attributes or {}


def _of_csv(file: Path) -> Iterable[tuple[str, str, Regions]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            for row in (reader := csv.DictReader(lines)):
                name = (row.get("filename") or row.get("#filename") or "").strip()
                shape = json.loads(row.get("region_shape_attributes") or "{}")
                own = json.loads(row.get("region_attributes") or "{}")
                if not name or not isinstance(shape, dict) or not isinstance(own, dict):
                    raise ValueError("no filename or no shape")
                yield f"line {reader.line_num}", name, [(shape, own)] if shape else []
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        raise DataError(f"{file}: cannot be read ({str(error)[:80]}); must be CSV of VIA, in UTF-8.") from error


def _attribute(file: Path, found: Sequence[Mapping[str, Any]]) -> str | None:
    """The attribute that holds the classes; None where regions have none."""
    names = list(dict.fromkeys(name for own in found for name in own))
    likely = names if len(names) < 2 else [name for name in ("class", "label", "name", "type") if name in names]
    if names and not likely:
        raise DataError(
            f"{file}: regions have the attributes {', '.join(names)}; dataset.source.attribute names the class."
        )
    return likely[0] if likely else None


def _value(found: Any) -> str:
    """What an attribute says; of a checkbox, the first that is ticked."""
    if isinstance(found, dict):
        found = next((name for name, ticked in found.items() if ticked), "")
    return str(found).strip()


def _add(picture: Picture, shape: Any, name: str, where: str) -> None:
    """Adds a region; raises what a shape without its numbers does."""
    thing = Thing(name, where=where)
    kind = shape["name"]
    if kind == "rect":
        thing = thing._replace(box=of_sides(shape[key] for key in ("x", "y", "width", "height")))
    elif kind == "polygon" and len(shape["all_points_x"]) > 2:
        pairs = zip(shape["all_points_x"], shape["all_points_y"], strict=True)
        thing = thing._replace(outline=[[finite(side) for pair in pairs for side in pair]])
    elif kind == "circle":
        x, y, radius = (finite(shape[key]) for key in ("cx", "cy", "r"))
        thing = thing._replace(outline=[ellipse(x, y, radius, radius)])
    elif kind == "ellipse":
        x, y, across, down = (finite(shape[key]) for key in ("cx", "cy", "rx", "ry"))
        thing = thing._replace(outline=[ellipse(x, y, across, down, finite(shape.get("theta", 0)))])
    else:
        picture.notes.append(("region left out", f"{where}: a {str(kind)[:40]}"))
        return
    picture.things.append(thing)
