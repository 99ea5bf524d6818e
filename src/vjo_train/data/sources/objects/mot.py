"""MOTChallenge's sequences: a text file for all pictures of a video."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from vjo_train.data.sources.objects.records import EVERY, Picture, Read, Thing
from vjo_train.data.sources.objects.shapes import Box, finite, of_sides
from vjo_train.data.sources.objects.source import ObjectFiles
from vjo_train.data.sources.objects.text_rows import frames_in, rows
from vjo_train.data.sources.split_names import split_of_folders
from vjo_train.errors import DataError

PERSON = 1
NEITHER = (2, 7, 8, 12, 13)
"""Of MOT16, 17 and 20: on a vehicle, standing still, likenesses, reflections, crowds: the benchmark ignores them."""


_DETECTOR = re.compile(r"(MOT\d+-\d+)-(DPM|FRCNN|SDP)")
"""The name of a sequence of MOT17, which has each three times."""


class MOT(ObjectFiles):
    """`train/MOT17-02-FRCNN/img1/000001.jpg` with `gt/gt.txt`: frame, id, x, y, width, height, flag, class, visibility.

    The class is `pedestrian`, also where it is -1, as of MOT15; what the benchmark ignores is ignored, other classes
    are not there. Pixels are counted from 1. A frame of a sequence without a row shows nobody. Of sequences that MOT17
    has for several detectors one is read. Frames may be numbered with any count of digits.

    Args:
        images: the folder that pictures are looked for in, below the root.
        sequences: pattern of the folders' names.
    """

    what = "sequence with gt/gt.txt, as of MOTChallenge"

    def __init__(self, *, images: str = ".", sequences: str = "*") -> None:
        super().__init__(images=images)
        self.sequences = sequences

    def files(self, root: Path) -> list[Path]:
        found = sorted({path for depth in ("", "*/") for path in root.glob(f"{depth}{self.sequences}/gt/gt.txt")})
        return list({_scene(file): file for file in reversed(found)}.values())[::-1]

    def records(self, root: Path, files: Sequence[Path]) -> Read:
        return Read([picture for file in files for picture in _pictures(root, file)], ["pedestrian"])


def _scene(file: Path) -> Path:
    """The folder of a sequence without its detector."""
    sequence = file.parent.parent
    match = _DETECTOR.fullmatch(sequence.name)
    return sequence.with_name(match[1]) if match else sequence


def _pictures(root: Path, file: Path) -> list[Picture]:
    sequence = file.parent.parent
    split = split_of_folders(sequence / "gt", root)
    frames = frames_in(sequence / "img1")
    found = {number: Picture(path.relative_to(root).as_posix(), file, split) for number, path in frames.items()}
    others = 0
    for line, words in rows(file, ","):
        where = f"line {line}"
        frame, box, flag, kind = _row(file, where, words)
        missing = sequence.relative_to(root) / "img1" / f"{frame:06d}.jpg"
        things = found.setdefault(frame, Picture(missing.as_posix(), file, split)).things
        if kind in NEITHER or (kind == PERSON and not flag):
            things.append(Thing(EVERY, box, difficult=True, where=where))
        elif kind == PERSON:
            things.append(Thing("pedestrian", box, where=where))
        else:
            others += 1
    pictures = [found[frame] for frame in sorted(found)]
    if others and pictures:
        pictures[0].notes.append(("other classes left out", f"{others} rows of {sequence.name}"))
    return pictures


def _row(file: Path, where: str, words: Sequence[str]) -> tuple[int, Box, float, int]:
    """Frame, box, flag and class."""
    try:
        frame, box, flag = int(words[0]), of_sides(words[2:6], first=1), finite(words[6])
        kind = int(words[7]) if len(words) > 8 else PERSON
        if frame < 0:
            raise ValueError(frame)
    except (ValueError, IndexError):
        said = ",".join(words)[:60]
        must = "must be frame,id,x,y,width,height,flag,class,visibility"
        raise DataError(f"{file}: {where}: found '{said}'; {must}.") from None
    return frame, box, flag, PERSON if kind == -1 else kind
