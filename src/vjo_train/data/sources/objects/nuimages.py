"""nuImages: tables of JSON that name each other by tokens."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vjo_train.data.sources.coco.document import values
from vjo_train.data.sources.objects.records import Picture, Read, Thing
from vjo_train.data.sources.objects.shapes import of_corners, size_of
from vjo_train.data.sources.objects.signs import head
from vjo_train.data.sources.objects.source import ObjectFiles
from vjo_train.data.sources.pictures import is_picture
from vjo_train.data.sources.split_names import split_in
from vjo_train.errors import DataError

OBJECTS, PICTURES, CLASSES = "object_ann.json", "sample_data.json", "category.json"


class NuImages(ObjectFiles):
    """`v1.0-train/`, `v1.0-val/` and so on, with tables, and the pictures in `samples/`.

    Of `sample_data.json`, the key frames are annotated: `token`, `filename`, `width`, `height`, `is_key_frame`. Of
    `object_ann.json` each row is an object: `sample_data_token`, `category_token`, `bbox` as xmin, ymin, xmax, ymax in
    pixels, and `mask` as COCO's run lengths, whose text is in base64, or null. Names are those of `category.json`. A
    folder without any object, as `v1.0-test`, is not annotated. Surfaces (`surface_ann.json`) are not read.

    Args:
        images: the folder that pictures are looked for in, below the root: that of the key frames.
    """

    what = f"table {OBJECTS} beside {PICTURES} and {CLASSES}, as of nuImages"

    def __init__(self, *, images: str = "samples") -> None:
        super().__init__(images=images)

    def files(self, root: Path) -> list[Path]:
        found = sorted({*root.glob(f"*/{OBJECTS}"), *root.glob(OBJECTS)})
        return [file.with_name(name) for file in found if b"{" in head(file) for name in (OBJECTS, PICTURES, CLASSES)]

    def records(self, root: Path, files: Sequence[Path]) -> Read:
        folders = dict.fromkeys(file.parent for file in files)
        return Read([picture for folder in folders for picture in _pictures(folder)])


def _pictures(folder: Path) -> list[Picture]:
    names = {row["token"]: str(row["name"]) for row in _rows(folder / CLASSES, ("token", "name"))}
    found: dict[Any, Picture] = {}
    for row in _rows(folder / PICTURES, ("token", "filename", "is_key_frame")):
        if row["is_key_frame"] and is_picture(str(row["filename"])):
            size = size_of(row.get("height"), row.get("width"))
            found[row["token"]] = Picture(str(row["filename"]), folder / PICTURES, split_in(folder.name), size)
    for number, row in enumerate(_rows(folder / OBJECTS, ("sample_data_token", "category_token", "bbox")), 1):
        picture = found.get(row["sample_data_token"])
        if picture is None or row["category_token"] not in names:
            raise DataError(f"{folder / OBJECTS}: row {number}: names a picture or a category that is in no table.")
        try:
            picture.things.append(_thing(row, names, f"{OBJECTS}, row {number}"))
        except (TypeError, ValueError, KeyError, OverflowError, binascii.Error):
            said = f"{folder / OBJECTS}: row {number}: found the bbox {str(row['bbox'])[:60]}"
            picture.fault = f"{said}; must be xmin, ymin, xmax, ymax, and the mask run lengths in base64, or null."
    return list(found.values())


def _rows(file: Path, keys: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    """The rows of a table, which have these keys."""
    first = head(file)
    if not first.lstrip().startswith(b"["):
        raise DataError(f"{file}: found no list of rows; must be a table of nuImages.")
    for number, row in enumerate(values(file, first.index(b"[") + 1, file.stem), 1):
        known = isinstance(row, dict) and {*keys} <= row.keys()
        if not known or not all(isinstance(row[key], str) for key in keys if key.endswith("token")):
            raise DataError(f"{file}: row {number}: found {str(row)[:60]}; must have {', '.join(keys)}.")
        yield row


def _thing(row: Mapping[str, Any], names: Mapping[str, str], where: str) -> Thing:
    mask = row.get("mask")
    outline = mask and {"size": mask["size"], "counts": base64.b64decode(mask["counts"]).decode("ascii")}
    return Thing(names[row["category_token"]], of_corners(row["bbox"]), outline, where=where)
