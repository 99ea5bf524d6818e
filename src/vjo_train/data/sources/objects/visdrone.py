"""VisDrone's object detection, in pictures and in videos: a text file for each of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vjo_train.data.sources.objects.records import EVERY, Read, Thing
from vjo_train.data.sources.objects.shapes import finite, of_sides
from vjo_train.data.sources.objects.source import ObjectFiles
from vjo_train.data.sources.objects.text_rows import pictures_of, text_files
from vjo_train.errors import DataError

NAMES = ("pedestrian", "people", "bicycle", "car", "van", "truck", "tricycle", "awning-tricycle", "bus", "motor")
"""Of the categories 1 to 10; 0 is a region to be ignored, 11 is what is none of them."""
_NAMED = dict(enumerate((EVERY, *NAMES, EVERY)))


class VisDrone(ObjectFiles):
    """`VisDrone2019-DET-train/images/x.jpg` with `annotations/x.txt`: x, y, width, height, score, category, two more.

    In `VisDrone2019-VID-train`, `annotations/x.txt` is of the frames in `sequences/x/`, and rows begin with the numbers
    of the frame and the object. Regions of the categories 0 and 11 are ignored for all classes, as in the benchmark;
    objects of score 0 for theirs.
    """

    what = "folder annotations/ of text files with eight numbers a row, as of VisDrone"

    def files(self, root: Path) -> list[Path]:
        return text_files(root, ("annotations",))

    def records(self, root: Path, files: Sequence[Path]) -> Read:
        return Read(pictures_of(root, files, _thing, ","), NAMES)


def _thing(file: Path, line: int, words: Sequence[str]) -> Thing:
    where = f"line {line}"
    try:
        box, score, name = of_sides(words[:4]), finite(words[4]), _NAMED[int(words[5])]
    except (ValueError, LookupError):
        said = f"found '{','.join(words)[:60]}'; must be x,y,width,height,score,category,.."
        raise DataError(f"{file}: {where}: {said}") from None
    return Thing(name, box, difficult=name == EVERY or score == 0, where=where)
