"""CityPersons: the people of Cityscapes, a JSON file for each picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from vjo_train.data.sources.objects.format_files import files_below
from vjo_train.data.sources.objects.own_file import picture_of
from vjo_train.data.sources.objects.records import EVERY, Picture, Read, Thing
from vjo_train.data.sources.objects.shapes import of_sides, read_json
from vjo_train.data.sources.objects.source import ObjectFiles
from vjo_train.errors import DataError

NAMES = ("pedestrian", "rider")
"""The classes; sitting and other persons, groups and what is no person are regions that are ignored for both."""
_ENDING, _PICTURE = "_gtBboxCityPersons", "_leftImg8bit.png"


class CityPersons(ObjectFiles):
    """`gtBboxCityPersons/train/aachen/*_gtBboxCityPersons.json` beside `leftImg8bit/`.

    Args:
        images: the folder that pictures are looked for in, below the root.
        box: of a person: the whole body, or its visible part.
    """

    what = f"JSON file *{_ENDING}.json"

    def __init__(self, *, images: str = ".", box: Literal["whole", "visible"] = "whole") -> None:
        super().__init__(images=images)
        self.box = box

    def files(self, root: Path) -> list[Path]:
        return files_below(root, f"{_ENDING}.json")

    def records(self, root: Path, files: Sequence[Path]) -> Read:
        return Read([picture_of(root, file, self._fill) for file in files], NAMES)

    def _fill(self, picture: Picture) -> None:
        file = picture.file
        picture.name = file.stem.removesuffix(_ENDING) + _PICTURE
        content = read_json(file)
        objects = content.get("objects") if isinstance(content, dict) else None
        if not isinstance(objects, list):
            raise DataError(f"{file}: found no list 'objects'; must be JSON of CityPersons.")
        picture.things = [self._thing(file, number, one) for number, one in enumerate(objects, 1)]

    def _thing(self, file: Path, number: int, found: Any) -> Thing:
        where = f"object {number}"
        try:
            label = str(found["label"])
            box = of_sides(found["bbox" if self.box == "whole" else "bboxVis"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            said = f"{file}: {where}: found {str(found)[:60]}; must have a label, bbox and bboxVis"
            raise DataError(f"{said}.") from error
        known = label in NAMES
        return Thing(label if known else EVERY, box, difficult=not known, where=where)
