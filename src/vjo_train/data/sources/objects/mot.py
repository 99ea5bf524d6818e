"""MOTChallenge's sequences: a text file for all pictures of a video."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from vjo_train.data.sources.objects.records import EVERY, Picture, Read, Thing
from vjo_train.data.sources.objects.source import ObjectFiles
from vjo_train.data.sources.objects.text_rows import rows
from vjo_train.data.sources.split_names import split_in
from vjo_train.errors import DataError

PERSON = 1
NEITHER = (2, 7, 8, 12, 13)
"""Of MOT16, 17 and 20: on a vehicle, standing still, likenesses, reflections, crowds: the benchmark ignores them."""


class MOT(ObjectFiles):
    """`train/MOT17-02-FRCNN/img1/000001.jpg` with `gt/gt.txt`: frame, id, x, y, width, height, flag, class, visibility.

    The class is `pedestrian`; what the benchmark ignores is ignored, other classes are not there. Pixels are counted
    from 1. MOT17 has each sequence three times, for three detectors: `sequences=MOT17-*-FRCNN` takes one of them.

    Args:
        images: the folder that pictures are looked for in, below the root.
        sequences: pattern of the folders' names.
    """

    what = "sequence with gt/gt.txt, as of MOTChallenge"

    def __init__(self, *, images: str = ".", sequences: str = "*") -> None:
        super().__init__(images=images)
        self.sequences = sequences

    def files(self, root: Path) -> list[Path]:
        return sorted({path for depth in ("", "*/") for path in root.glob(f"{depth}{self.sequences}/gt/gt.txt")})

    def records(self, root: Path, files: Sequence[Path]) -> Read:
        return Read([picture for file in files for picture in _pictures(root, file)], ["pedestrian"])


def _pictures(root: Path, file: Path) -> list[Picture]:
    sequence = file.parent.parent
    folders = sequence.relative_to(root).parts
    split = next(filter(None, map(split_in, folders[::-1])), "")
    found: dict[str, Picture] = {}
    for line, words in rows(file, ","):
        where = f"line {line}"
        try:
            x, y, width, height = (float(word) for word in words[2:6])
            frame, flag = int(words[0]), float(words[6])
            kind = int(words[7]) if len(words) > 8 else PERSON
        except (ValueError, IndexError):
            x, frame, flag, kind = math.nan, -1, 0, -1
        if frame < 0 or not all(map(math.isfinite, (x, flag))):
            said = ",".join(words)[:60]
            raise DataError(
                f"{file}: {where}: found '{said}'; must be frame,id,x,y,width,height,flag,class,visibility."
            )
        name = "/".join([*folders, "img1", f"{frame:06d}.jpg"])
        things = found.setdefault(name, Picture(name, file, split)).things
        box = (x - 1, y - 1, x - 1 + width, y - 1 + height)
        if kind in NEITHER or (kind == PERSON and not flag):
            things.append(Thing(EVERY, box, difficult=True, where=where))
        elif kind == PERSON:
            things.append(Thing("pedestrian", box, where=where))
    return list(found.values())
