"""VisDrone's object detection, in pictures and in videos: a text file for each of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from vjo_train.data.sources.objects.records import EVERY, Read, Thing
from vjo_train.data.sources.objects.source import ObjectFiles
from vjo_train.data.sources.objects.text_rows import pictures_of, text_files
from vjo_train.errors import DataError

NAMES = ("pedestrian", "people", "bicycle", "car", "van", "truck", "tricycle", "awning-tricycle", "bus", "motor")
"""Of the categories 1 to 10; 0 is a region to be ignored, 11 is what is none of them."""


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
        x, y, width, height = (float(word) for word in words[:4])
        score, category = float(words[4]), int(words[5])
    except (ValueError, IndexError):
        x, score, category = math.nan, 0, -1
    if not 0 <= category <= len(NAMES) + 1 or not math.isfinite(x):
        raise DataError(f"{file}: {where}: found '{','.join(words)[:60]}'; must be x,y,width,height,score,category,..")
    box = (x, y, x + width, y + height)
    if category in (0, len(NAMES) + 1):
        return Thing(EVERY, box, difficult=True, where=where)
    return Thing(NAMES[category - 1], box, difficult=score == 0, where=where)
