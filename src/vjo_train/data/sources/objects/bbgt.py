"""The text files of Piotr Dollar's toolbox (bbGt): Caltech Pedestrian as it is converted, KAIST, ExDark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from vjo_train.data.sources.objects.format_files import format_files
from vjo_train.data.sources.objects.records import EVERY, Read, Thing
from vjo_train.data.sources.objects.shapes import Box, finite, of_sides
from vjo_train.data.sources.objects.signs import is_bbgt
from vjo_train.data.sources.objects.source import ObjectFiles
from vjo_train.data.sources.objects.text_rows import picture_of_rows
from vjo_train.errors import DataError

FALSE_ALARM = "person-fa"
"""What looked like a person to those who labelled Caltech, and is none."""


class BbGt(ObjectFiles):
    """Files that begin with `% bbGt version=3`, and a row for each object: label x y w h occ vx vy vw vh ign ang.

    A file is of the picture of its name, such as `annotations/set00/V000/I00000.txt` of `images/set00/V000/I00000.jpg`,
    or `a.png.txt` of `a.png`. Pixels are counted from 1, as in Matlab; v.. is the visible part, which is not read. What
    has `ign` 1 is difficult. The box of an object that is turned by `ang` degrees is that around its ellipse, as in the
    toolbox. A file without rows says that nothing is there.

    Args:
        images: the folder that pictures are looked for in, below the root.
        folder: the last folder of the pictures, where each is there several times, such as `visible` or `lwir` of
            KAIST; None: there is one of each.
        ignored: labels of regions that are ignored for every class.
    """

    what = "text file that begins with '% bbGt version='"

    def __init__(
        self,
        *,
        images: str = ".",
        folder: str | None = None,
        ignored: Sequence[str] = ("people", "person?", "ignore"),
    ) -> None:
        super().__init__(images=images)
        self.folder, self.ignored = folder, tuple(ignored)

    def files(self, root: Path) -> list[Path]:
        return format_files(root, (".txt",), is_bbgt)

    def records(self, root: Path, files: Sequence[Path]) -> Read:
        pictures = [picture_of_rows(root, file, partial(_thing, self.ignored)) for file in files]
        for picture in pictures:
            name = picture.file.relative_to(root).with_suffix("")
            picture.name = (name.parent / (self.folder or ".") / name.name).as_posix()
        return Read(pictures)


def _thing(ignored: Sequence[str], file: Path, line: int, words: Sequence[str]) -> Thing | None:
    """The object; None for the first row, and for false alarms."""
    if words[0].startswith("%") or words[0] == FALSE_ALARM:
        return None
    try:
        if not 10 <= len(words) <= 12:
            raise ValueError(words)
        box = of_sides(words[1:5], first=1)
        flag, turned = (finite(word) for word in [*words[10:12], "0", "0"][:2])
    except ValueError:
        said = f"found '{' '.join(words)[:60]}'; must be label x y w h occ vx vy vw vh ign ang"
        raise DataError(f"{file}: line {line}: {said}.") from None
    box = _turned(box, math.radians(turned)) if turned else box
    everything = words[0] in ignored
    return Thing(EVERY if everything else words[0], box, difficult=everything or flag == 1, where=f"line {line}")


def _turned(box: Box, angle: float) -> Box:
    """The box around the ellipse in a box, which is turned by an angle in radians."""
    x1, y1, x2, y2 = box
    x, y, across, down = (x1 + x2) / 2, (y1 + y2) / 2, (x2 - x1) / 2, (y2 - y1) / 2
    cosine, sine = math.cos(angle), math.sin(angle)
    across, down = math.hypot(across * cosine, down * sine), math.hypot(across * sine, down * cosine)
    return x - across, y - down, x + across, y + down
