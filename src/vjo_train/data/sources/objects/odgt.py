"""CrowdHuman's lists: a line of JSON for each picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from vjo_train.data.sources.objects.format_files import files_below
from vjo_train.data.sources.objects.records import EVERY, Picture, Read, Thing
from vjo_train.data.sources.objects.shapes import of_sides
from vjo_train.data.sources.objects.source import ObjectFiles
from vjo_train.data.sources.objects.text_rows import lines
from vjo_train.data.sources.split_names import split_in
from vjo_train.errors import DataError

_IGNORED = "mask"
"""The tag of a region of people who were not told apart, and of likenesses of people."""


class CrowdHuman(ObjectFiles):
    """`annotation_train.odgt`, `annotation_val.odgt` and the pictures, wherever they lie.

    Objects that are to be ignored are difficult; regions of the tag `mask` are ignored for all classes.

    Args:
        images: the folder that pictures are looked for in, below the root.
        box: of a person: the whole body, its visible part, or the head.
    """

    what = "list *.odgt, as of CrowdHuman"

    def __init__(self, *, images: str = ".", box: Literal["fbox", "vbox", "hbox"] = "fbox") -> None:
        super().__init__(images=images)
        self.box = box

    def files(self, root: Path) -> list[Path]:
        return files_below(root, ".odgt")

    def records(self, root: Path, files: Sequence[Path]) -> Read:
        return Read([self._picture(file, line, text) for file in files for line, text in lines(file)])

    def _picture(self, file: Path, line: int, text: str) -> Picture:
        where = f"line {line}"
        try:
            content = json.loads(text)
            picture = Picture(content["ID"], file, split_in(file.stem))
            picture.things = [self._thing(one, where) for one in content.get("gtboxes", []) if self.box in one]
        except (ValueError, TypeError, KeyError, OverflowError, AttributeError, RecursionError) as error:
            raise DataError(
                f"{file}: {where}: found '{text[:40]}', no picture of CrowdHuman ({error!r:.80})."
            ) from error
        return picture

    def _thing(self, found: Any, where: str) -> Thing:
        more = found.get("head_attr" if self.box == "hbox" else "extra") or {}
        name = EVERY if found["tag"] == _IGNORED else str(found["tag"])
        difficult = name == EVERY or more.get("ignore", 0) == 1
        return Thing(name, of_sides(found[self.box]), difficult=difficult, where=where)
